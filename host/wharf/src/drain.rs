//! Leaving in good order, in two steps.

use tokio_util::sync::CancellationToken;

/// The two signals that every task of the host listens to.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    /// Stop reading and starting; finish what runs.
    pub leave: CancellationToken,
    /// The deadline: interrupt what still runs.
    pub cut: CancellationToken,
}

impl Drain {
    /// The same signals, which can also be given for a part alone.
    pub fn child(&self) -> Self {
        Self {
            leave: self.leave.child_token(),
            cut: self.cut.child_token(),
        }
    }
}
