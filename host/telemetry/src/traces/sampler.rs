//! Which traces are recorded.

use wharf_core::trace::Context;

/// One of the specification's samplers: always on, always off and by trace id
/// are shares of 1, 0 and in between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whoever came before has decided already.
    follows_parent: bool,
    /// Of the traces that are decided over, from 0 to 1.
    share: f64,
}

impl Sampler {
    /// Decides over traces that begin here.
    pub fn parent_based(share: f64) -> Self {
        Self {
            follows_parent: true,
            share,
        }
    }

    /// Decides over every trace, whatever came before.
    pub fn ratio(share: f64) -> Self {
        Self {
            follows_parent: false,
            share,
        }
    }

    pub(super) fn samples(self, parent: Option<Context>, trace_id: u128) -> bool {
        match parent.filter(|_| self.follows_parent) {
            Some(parent) => parent.is_sampled(),
            None => self.is_within(trace_id),
        }
    }

    /// As the SDKs decide, so that all services keep the same traces: by the
    /// lower half of the id, less its lowest bit.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of 2^63 that is off by a few ids is as good a share"
    )]
    fn is_within(self, trace_id: u128) -> bool {
        let bound = (self.share * (1_u64 << 63) as f64) as u64;
        ((trace_id as u64) >> 1) < bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(flags: u8) -> Option<Context> {
        Some(Context {
            trace_id: 7,
            span_id: 7,
            flags,
        })
    }

    #[test]
    fn a_parent_based_sampler_follows_the_parent_and_decides_over_the_rest() {
        let sampler = Sampler::parent_based(0.0);
        assert!(sampler.samples(parent(1), 7));
        assert!(!sampler.samples(parent(0), 7));
        assert!(!sampler.samples(None, 7));
        let sampler = Sampler::parent_based(1.0);
        assert!(!sampler.samples(parent(0), 7));
        assert!(sampler.samples(None, u128::MAX));
    }

    #[test]
    fn a_share_of_all_traces_is_kept_whatever_the_parent_says() {
        let sampler = Sampler::ratio(0.25);
        let id = |part: u64| u128::from(part) << 61;
        assert!(sampler.samples(parent(0), id(0)));
        assert!(sampler.samples(parent(0), id(1)));
        assert!(!sampler.samples(parent(1), id(2)));
        assert!(!sampler.samples(None, id(7)));
        assert!(!Sampler::ratio(0.0).samples(parent(1), 0));
        assert!(Sampler::ratio(1.0).samples(parent(0), u128::MAX));
    }
}
