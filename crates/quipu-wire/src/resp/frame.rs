//! Commands out of a connection's bytes: arrays of bulk strings, and inline lines.
//!
//! [`parse`] is on the path of every operation. It allocates nothing, copies nothing (inline
//! commands apart) and looks at no argument twice while the rest of its command arrives.

use memchr::memchr;

use crate::limits::{ARRAY_LEN_MAX, BULK_BYTES_MAX, FRAME_BYTES_MAX, INLINE_BYTES_MAX, SPANS_KEPT};
use crate::resp::error::ProtocolError;
use crate::resp::{inline, number};

/// Bounds of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// Longest inline line, in bytes.
    pub inline_bytes: usize,
    /// Longest argument, in bytes.
    pub bulk_bytes: usize,
    /// Most arguments.
    pub array_len: usize,
    /// Longest command, in bytes.
    pub frame_bytes: u32,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            inline_bytes: INLINE_BYTES_MAX,
            bulk_bytes: BULK_BYTES_MAX,
            array_len: ARRAY_LEN_MAX,
            frame_bytes: FRAME_BYTES_MAX,
        }
    }
}

/// What stands at the start of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a command, or nothing. Parse again when more bytes have been appended.
    Incomplete,
    /// A command, readable by [`Args::request`].
    Command {
        /// Its length in bytes.
        consumed: usize,
    },
    /// Bytes that ask for nothing: an empty line or array. They have no reply.
    Empty {
        /// Their length.
        consumed: usize,
    },
}

/// Where the arguments of a command stand, and how far an incomplete one was read. One per
/// connection, used for command after command.
#[derive(Debug, Default)]
pub struct Args {
    spans: Vec<Span>,
    /// The unquoted words of an inline command; spans point here if `inline`.
    text: Vec<u8>,
    inline: bool,
    /// Arguments still to come; 0 at the start of a command.
    missing: usize,
    /// Of an incomplete array: where its next argument begins. Of a line: how far it has no end.
    at: usize,
    needed: usize,
}

/// Start and end of an argument. Frames are shorter than 4 GiB.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

/// A command's arguments, its name first.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

/// Reads the command at the start of `buf`.
///
/// After [`Parsed::Incomplete`] the next call takes the same `args` and the same bytes with more
/// appended. Otherwise the caller takes `consumed` bytes away first.
///
/// # Errors
/// The bytes are not the protocol: answer the error and close; `args` is of no further use.
#[inline]
pub fn parse(buf: &[u8], limits: &FrameLimits, args: &mut Args) -> Result<Parsed, ProtocolError> {
    if args.missing == 0 {
        match buf.first() {
            None => return Ok(Parsed::Incomplete),
            Some(b'*') => {}
            Some(_) => return args.line(buf, limits),
        }
        args.restart();
        match length(buf, 1) {
            Length::More => return Ok(Parsed::Incomplete),
            Length::Bad => return Err(ProtocolError::ArrayLength),
            Length::Is(count, consumed) if count <= 0 => return Ok(Parsed::Empty { consumed }),
            Length::Is(count, next) => {
                (args.missing, args.at) = (array_len(count, limits)?, next);
            }
        }
    }
    args.bulks(buf, limits)
}

#[inline]
fn array_len(count: i64, limits: &FrameLimits) -> Result<usize, ProtocolError> {
    match usize::try_from(count) {
        Ok(count) if count <= limits.array_len => Ok(count),
        _ => Err(ProtocolError::ArrayLength),
    }
}

impl Args {
    /// How many bytes the buffer must hold at least before an incomplete command can get further;
    /// a hint for its size, 0 if unknown.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// The arguments of the command that [`parse`] found at the start of `buf`.
    #[inline]
    pub fn request<'a>(&'a self, buf: &'a [u8]) -> Request<'a> {
        Request { bytes: if self.inline { &self.text } else { buf }, spans: &self.spans }
    }

    #[inline]
    fn restart(&mut self) {
        self.spans.clear();
        if self.spans.capacity() > SPANS_KEPT {
            self.spans.shrink_to(SPANS_KEPT);
        }
        self.inline = false;
        self.needed = 0;
        self.at = 0;
    }

    #[inline]
    fn bulks(&mut self, buf: &[u8], limits: &FrameLimits) -> Result<Parsed, ProtocolError> {
        while self.missing > 0 {
            let (bytes, start) = match buf.get(self.at) {
                None => return Ok(Parsed::Incomplete),
                Some(b'$') => match length(buf, self.at + 1) {
                    Length::More => return Ok(Parsed::Incomplete),
                    Length::Bad => return Err(ProtocolError::BulkLength),
                    Length::Is(bytes, start) => (bytes, start),
                },
                Some(&found) => return Err(ProtocolError::ExpectedBulk { found }),
            };
            let end = start + bulk_len(bytes, limits)?;
            if end + 2 > limits.frame_bytes as usize {
                return Err(ProtocolError::FrameTooBig);
            }
            match buf.get(end..end + 2) {
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::BulkEnd),
                None => {
                    self.needed = end + 2;
                    return Ok(Parsed::Incomplete);
                }
            }
            self.spans.push(Span { start: start as u32, end: end as u32 });
            self.at = end + 2;
            self.missing -= 1;
        }
        Ok(Parsed::Command { consumed: std::mem::take(&mut self.at) })
    }

    #[cold]
    fn line(&mut self, buf: &[u8], limits: &FrameLimits) -> Result<Parsed, ProtocolError> {
        let seen = std::mem::take(&mut self.at).min(buf.len());
        let Some(more) = memchr(b'\n', buf.get(seen..).unwrap_or_default()) else {
            if buf.len() > limits.inline_bytes {
                return Err(ProtocolError::InlineTooBig);
            }
            self.at = buf.len();
            return Ok(Parsed::Incomplete);
        };
        let end = seen + more;
        if end > limits.inline_bytes {
            return Err(ProtocolError::InlineTooBig);
        }
        let line = buf.get(..end).unwrap_or_default();
        self.words(line.strip_suffix(b"\r").unwrap_or(line))?;
        let consumed = end + 1;
        if self.spans.is_empty() {
            return Ok(Parsed::Empty { consumed });
        }
        Ok(Parsed::Command { consumed })
    }

    fn words(&mut self, line: &[u8]) -> Result<(), ProtocolError> {
        self.restart();
        self.inline = true;
        self.text.clear();
        self.text.shrink_to(SPANS_KEPT);
        let spans = &mut self.spans;
        inline::split(line, &mut self.text, |(start, end)| {
            spans.push(Span { start: start as u32, end: end as u32 });
        })?;
        let request = Request { bytes: &self.text, spans: &self.spans };
        let first = request.get(0).unwrap_or_default();
        if first.eq_ignore_ascii_case(b"post") || first.eq_ignore_ascii_case(b"host:") {
            return Err(ProtocolError::Http);
        }
        Ok(())
    }
}

#[inline]
fn bulk_len(bytes: i64, limits: &FrameLimits) -> Result<usize, ProtocolError> {
    match usize::try_from(bytes) {
        Ok(bytes) if bytes <= limits.bulk_bytes => Ok(bytes),
        _ => Err(ProtocolError::BulkLength),
    }
}

/// The number after a type byte.
#[derive(Debug)]
enum Length {
    /// Its line end has not arrived.
    More,
    /// It is none.
    Bad,
    /// It, and where what follows its line begins.
    Is(i64, usize),
}

/// Longest number with sign, and CR. Spec: 64 bits.
const LENGTH_BYTES_MAX: usize = 21;

/// Reads the line at `at`. One and two digits take the short way.
#[inline]
fn length(buf: &[u8], at: usize) -> Length {
    let rest = buf.get(at..).unwrap_or_default();
    match rest {
        [d @ b'0'..=b'9', b'\r', b'\n', ..] => Length::Is(i64::from(d - b'0'), at + 3),
        [t @ b'1'..=b'9', d @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Length::Is(i64::from(t - b'0') * 10 + i64::from(d - b'0'), at + 4)
        }
        _ => long_length(rest, at),
    }
}

fn long_length(rest: &[u8], at: usize) -> Length {
    let head = rest.get(..LENGTH_BYTES_MAX).unwrap_or(rest);
    let Some(cr) = memchr(b'\r', head) else {
        return if head.len() < LENGTH_BYTES_MAX { Length::More } else { Length::Bad };
    };
    match (rest.get(..cr).and_then(number::signed), rest.get(cr + 1)) {
        (None, _) | (_, Some(0..=9 | 11..)) => Length::Bad,
        (Some(_), None) => Length::More,
        (Some(length), Some(b'\n')) => Length::Is(length, at + cr + 2),
    }
}

impl<'a> Request<'a> {
    /// How many arguments, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is nothing, not even a name.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// One argument; 0 is the name.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        self.bytes.get(span.start as usize..span.end as usize)
    }

    /// The arguments from the one with number `first` on.
    #[must_use]
    pub fn from(&self, first: usize) -> Request<'a> {
        Request { bytes: self.bytes, spans: self.spans.get(first..).unwrap_or_default() }
    }

    /// All arguments.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let Request { bytes, spans } = *self;
        spans.iter().filter_map(move |s| bytes.get(s.start as usize..s.end as usize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Args, FrameLimits, Parsed, parse};
    use crate::resp::error::ProtocolError;

    const LIMITS: FrameLimits =
        FrameLimits { inline_bytes: 64, bulk_bytes: 100, array_len: 50, frame_bytes: 1000 };

    type Words = Vec<Vec<u8>>;

    /// Parses a pipeline that arrives in pieces that end at `cuts`.
    fn pieces(bytes: &[u8], cuts: &[usize]) -> (Vec<Words>, Option<ProtocolError>) {
        let (mut args, mut start, mut commands) = (Args::default(), 0, Vec::new());
        for &end in cuts.iter().chain([&bytes.len()]) {
            match all(&bytes[start..end], &mut args, &mut commands) {
                Ok(consumed) => start += consumed,
                Err(error) => return (commands, Some(error)),
            }
        }
        (commands, None)
    }

    /// Parses all commands that are complete and returns their length.
    fn all(
        bytes: &[u8],
        args: &mut Args,
        commands: &mut Vec<Words>,
    ) -> Result<usize, ProtocolError> {
        let mut start = 0;
        loop {
            let buf = &bytes[start..];
            start += match parse(buf, &LIMITS, args)? {
                Parsed::Incomplete => return Ok(start),
                Parsed::Empty { consumed } => consumed,
                Parsed::Command { consumed } => {
                    commands.push(args.request(buf).iter().map(<[u8]>::to_vec).collect());
                    consumed
                }
            };
        }
    }

    fn check(bytes: &[u8], commands: &[&[&str]], error: Option<ProtocolError>) {
        let expected: Vec<Words> = commands
            .iter()
            .map(|words| words.iter().map(|w| w.as_bytes().to_vec()).collect())
            .collect();
        let every: Vec<usize> = (0..bytes.len()).collect();
        for cuts in [&[][..], &every] {
            assert_eq!(pieces(bytes, cuts), (expected.clone(), error), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn arrays_and_lines_are_commands() {
        check(b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n", &[&["INCR", "a"]], None);
        check(
            b"*1\r\n$4\r\nPING\r\nPING\r\nget \"a b\"\n",
            &[&["PING"], &["PING"], &["get", "a b"]],
            None,
        );
        check(b"*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n", &[&["", "\r\n"]], None);
        check(b"*0\r\n*-1\r\n\r\n \n*1\r\n$1\r\nx\r\n", &[&["x"]], None);
        let long = "y".repeat(100);
        check(format!("*1\r\n$100\r\n{long}\r\n").as_bytes(), &[&[&long]], None);
        check(b"*2\r\n$4\r\nINCR\r\n", &[], None);
    }

    #[test]
    fn what_is_not_the_protocol_is_refused_in_the_words_of_redis() {
        use ProtocolError::{
            ArrayLength, BulkEnd, BulkLength, ExpectedBulk, FrameTooBig, Http, InlineTooBig, Quotes,
        };
        for bytes in ["*51\r\n", "*x\r\n", "*01\r\n", "*\r\n", "*2147483648000\r\n", "*1\rx"] {
            check(bytes.as_bytes(), &[], Some(ArrayLength));
        }
        for bytes in ["$-1\r\n", "$101\r\n", "$1x\r\n", "$+1\r\n", "$99999999999999999999999\r\n"] {
            check(format!("*1\r\n{bytes}").as_bytes(), &[], Some(BulkLength));
        }
        check(b"*2\r\n$1\r\na\r\n:1\r\n", &[], Some(ExpectedBulk { found: b':' }));
        check(b"*1\r\n$1\r\naxx", &[], Some(BulkEnd));
        check(b"PING\r\nget 'a\r\n", &[&["PING"]], Some(Quotes));
        check(&[b'x'; 65], &[], Some(InlineTooBig));
        check(b"POST / HTTP/1.1\r\n", &[], Some(Http));
        let argument = format!("$100\r\n{}\r\n", "z".repeat(100));
        check(format!("*11\r\n{}", argument.repeat(11)).as_bytes(), &[], Some(FrameTooBig));
        let texts = [
            (ArrayLength, "Protocol error: invalid multibulk length"),
            (BulkLength, "Protocol error: invalid bulk length"),
            (ExpectedBulk { found: b'x' }, "Protocol error: expected '$', got 'x'"),
            (InlineTooBig, "Protocol error: too big inline request"),
            (Quotes, "Protocol error: unbalanced quotes in request"),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn a_long_argument_says_how_much_it_needs() {
        let mut args = Args::default();
        let head = b"*1\r\n$90\r\nabc";
        assert_eq!(parse(head, &LIMITS, &mut args), Ok(Parsed::Incomplete));
        assert_eq!(args.needed(), 4 + 5 + 90 + 2);
    }

    fn encoded(commands: &[Words]) -> Vec<u8> {
        let mut out = Vec::new();
        for words in commands {
            out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in words {
                out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                out.extend_from_slice(word);
                out.extend_from_slice(b"\r\n");
            }
        }
        out
    }

    fn words() -> impl Strategy<Value = Words> {
        let word = proptest::collection::vec(any::<u8>(), 0..20);
        proptest::collection::vec(word, 1..6)
    }

    proptest! {
        #[test]
        fn any_cut_of_a_pipeline_gives_the_same_commands(
            commands in proptest::collection::vec(words(), 0..8),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let bytes = encoded(&commands);
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            prop_assert_eq!(pieces(&bytes, &cuts), (commands, None));
        }

        #[test]
        fn any_cut_of_random_text_gives_the_same_end(
            bytes in "[*$0-3a\"'\\\\ \r\n-]{0,80}",
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let bytes = bytes.into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            prop_assert_eq!(pieces(&bytes, &cuts), pieces(&bytes, &[]));
        }

        #[test]
        fn random_bytes_never_panic(bytes in any::<Vec<u8>>(), star in any::<bool>()) {
            let bytes = if star { [&b"*3\r\n$1\r\n"[..], &bytes].concat() } else { bytes };
            pieces(&bytes, &[]);
        }
    }
}
