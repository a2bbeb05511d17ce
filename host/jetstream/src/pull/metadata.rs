//! What a delivery's reply subject tells about it.
//!
//! Two forms: `$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.
//! <consumer sequence>.<stored>.<pending>`, and the one of newer servers with
//! the domain and a hash of the account behind `ACK` (and maybe a last token
//! of no meaning).

/// The numbers in a reply subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// How often this consumer delivered the message, this time included.
    pub(crate) delivered: u64,
    pub(crate) stream_sequence: u64,
    pub(crate) consumer_sequence: u64,
    /// Nanoseconds since 1970.
    pub(crate) stored_ns: u64,
    /// Messages behind this one that the consumer has yet to deliver.
    pub(crate) pending: u64,
}

impl Metadata {
    pub(crate) fn parse(reply: &str) -> Option<Self> {
        let rest = reply.strip_prefix("$JS.ACK.")?;
        let tokens = rest.split('.').count();
        let names = match tokens {
            7 => 2,
            9.. => 4,
            _ => return None,
        };
        let mut numbers = rest.split('.').skip(names).map(str::parse::<u64>);
        let mut number = || numbers.next()?.ok();
        Some(Self {
            delivered: number()?,
            stream_sequence: number()?,
            consumer_sequence: number()?,
            stored_ns: number()?,
            pending: number()?,
        })
    }

    /// A reply subject that acknowledges `sequence`: the server looks only at
    /// the stream sequence when acknowledgement is explicit.
    pub(crate) fn reply_for(stream: &str, consumer: &str, sequence: u64, stored_ns: u64) -> String {
        format!("$JS.ACK.{stream}.{consumer}.1.{sequence}.1.{stored_ns}.0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Metadata = Metadata {
        delivered: 1,
        stream_sequence: 22,
        consumer_sequence: 3,
        stored_ns: 444,
        pending: 5,
    };

    #[test]
    fn both_forms_are_read() {
        let forms = [
            "$JS.ACK.S.C.1.22.3.444.5",
            "$JS.ACK._.hash.S.C.1.22.3.444.5",
            "$JS.ACK.hub.hash.S.C.1.22.3.444.5.random",
        ];
        for form in forms {
            assert_eq!(Metadata::parse(form), Some(WANTED), "{form}");
        }
    }

    #[test]
    fn what_is_not_one_is_refused() {
        for subject in [
            "",
            "a.b",
            "$JS.ACK.S.C.1.2.3.4",
            "$JS.ACK.S.C.1.x.3.4.5",
            "$JS.ACK.",
        ] {
            assert_eq!(Metadata::parse(subject), None, "{subject}");
        }
    }

    #[test]
    fn a_constructed_reply_reads_back() {
        let read = Metadata::parse(&Metadata::reply_for("S", "C", 22, 444)).expect("well formed");
        assert_eq!((read.stream_sequence, read.stored_ns), (22, 444));
    }
}
