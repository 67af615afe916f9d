//! Where the frames of a WebSocket begin and end (RFC 6455 section 5.2), so that a frame of ours can stand between two of theirs.
//! Nothing of a payload is read.

/// Follows one direction of a WebSocket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames {
    at: At,
    /// A Close frame has begun: no other frame may follow (section 5.5.1).
    closed: bool,
    /// The frame that has begun is a control frame (section 5.5): browsers answer pings by themselves.
    control: bool,
    /// Something passed that is no control frame.
    said: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// A frame's first octet.
    Start,
    /// Its second: whether it is masked, and a short length.
    Second,
    /// So many octets of a longer length.
    Length { left: u8, length: u64, masked: bool },
    /// So many octets of mask and payload.
    Rest(u64),
    /// Nobody knows: these are no frames.
    Lost,
}

/// The opcode of a Close frame (section 5.2).
const CLOSE: u8 = 8;
/// Opcodes of control frames have this bit.
const CONTROL: u8 = 8;
/// A Close frame's first octet: the whole message is in it.
const WHOLE_CLOSE: u8 = 0x80 | CLOSE;
/// The second octet's bit for "masked".
const MASKED: u8 = 0x80;
/// Octets of a mask.
const MASK: u64 = 4;

impl Frames {
    /// Before the first frame.
    pub(crate) fn new() -> Self {
        Self { at: At::Start, closed: false, control: false, said: false }
    }

    /// These octets were passed on.
    pub(crate) fn pass(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            octets = octets.get(self.step(octets)..).unwrap_or_default();
            self.said |= !self.control;
        }
    }

    /// Whether anything passed since the last call that somebody said, and not the protocol itself.
    pub(crate) fn take_said(&mut self) -> bool {
        std::mem::take(&mut self.said)
    }

    /// Whether a frame has begun and not ended.
    pub(crate) fn is_within(&self) -> bool {
        !matches!(self.at, At::Start | At::Lost)
    }

    /// Whether another frame may follow now.
    pub(crate) fn may_begin(&self) -> bool {
        self.at == At::Start && !self.closed
    }

    /// How many of these octets belong to the frame that has begun.
    pub(crate) fn rest(mut self, octets: &[u8]) -> usize {
        let mut taken = 0;
        while self.is_within()
            && let Some(left @ [_, ..]) = octets.get(taken..)
        {
            taken += self.step(left);
        }
        taken
    }

    /// Takes some of the octets, of which there is at least one: how many.
    fn step(&mut self, octets: &[u8]) -> usize {
        let Some(first) = octets.first().copied() else { return 0 };
        self.at = match self.at {
            At::Start => {
                self.closed |= first & 0x0f == CLOSE;
                self.control = first & CONTROL != 0;
                At::Second
            }
            At::Second => {
                let masked = first & MASKED != 0;
                match first & !MASKED {
                    126 => At::Length { left: 2, length: 0, masked },
                    127 => At::Length { left: 8, length: 0, masked },
                    length => rest(length.into(), masked),
                }
            }
            At::Length { left, length, masked } => {
                let length = length << 8 | u64::from(first);
                if left > 1 { At::Length { left: left - 1, length, masked } } else { rest(length, masked) }
            }
            At::Rest(left) => {
                let here = left.min(octets.len() as u64);
                self.at = if here == left { At::Start } else { At::Rest(left - here) };
                // Not more than there are octets.
                return usize::try_from(here).unwrap_or(octets.len());
            }
            At::Lost => return octets.len(),
        };
        1
    }
}

/// What follows a length, whose highest bit must be 0 (section 5.2).
fn rest(length: u64, masked: bool) -> At {
    if length >> 63 != 0 {
        return At::Lost;
    }
    match length + if masked { MASK } else { 0 } {
        0 => At::Start,
        left => At::Rest(left),
    }
}

/// A Close frame (section 5.5.1). `reason` is shorter than 124 octets; `mask`: it is a client's (section 5.3).
pub(crate) fn close_frame(status: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let payload = status.to_be_bytes().into_iter().chain(reason.bytes().take(123));
    let payload: Vec<u8> = payload.zip(mask.unwrap_or_default().into_iter().cycle()).map(|(octet, mask)| octet ^ mask).collect();
    let masked = if mask.is_some() { MASKED } else { 0 };
    // At most 125, so it fits.
    let mut frame = vec![WHOLE_CLOSE, masked | u8::try_from(payload.len()).unwrap_or_default()];
    frame.extend(mask.into_iter().flatten());
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_frames_say_nothing_and_every_part_of_a_message_does() {
        let mut frames = Frames::new();
        let mut said = |octets: &[u8]| {
            frames.pass(octets);
            frames.take_said()
        };
        assert!(!said(b"\x8a\x80\0\0\0\0"), "a pong");
        assert!(!said(b"\x89\x82\0\0\0\0a"), "a ping in part");
        assert!(!said(b"b"));
        assert!(said(b"\x01\x82\0\0\0\0a"), "a text in part");
        assert!(said(b"b"));
        assert!(!said(b"\x8a\x80\0\0\0\0"), "between two parts of a message");
        assert!(said(b"\x8a\x80\0\0\0\0\x80\x80\0\0\0\0"), "a pong and the last part");
        assert!(!said(b""));
    }

    /// A frame as it is written, in the given form of length.
    fn frame(first: u8, payload: usize, form: u8, masked: bool) -> Vec<u8> {
        let mut octets = vec![first];
        let mask = if masked { MASKED } else { 0 };
        match form {
            126 => {
                octets.push(mask | 126);
                octets.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            127 => {
                octets.push(mask | 127);
                octets.extend((payload as u64).to_be_bytes());
            }
            _ => octets.push(mask | u8::try_from(payload).unwrap()),
        }
        if masked {
            octets.extend([0x88, 0xff, 0x88, 0xff]);
        }
        // What looks like other frames.
        octets.extend([0x88, 0x02].into_iter().cycle().take(payload));
        octets
    }

    fn all_forms() -> Vec<Vec<u8>> {
        let sizes =
            [(0, 0), (1, 0), (125, 0), (0, 126), (126, 126), (300, 126), (65_535, 126), (0, 127), (5, 127), (65_536, 127)];
        let both = sizes.into_iter().flat_map(|size| [(size, false), (size, true)]);
        // A text, a binary and a compressed one, a part of one, a ping.
        let firsts = [0x81, 0x82, 0xc1, 0x00, 0x89].into_iter().cycle();
        both.zip(firsts).map(|(((payload, form), masked), first)| frame(first, payload, form, masked)).collect()
    }

    #[test]
    fn every_frame_ends_where_it_ends_however_it_comes() {
        for octets in all_forms() {
            let cuts: Vec<usize> = (0..octets.len().min(20)).chain([octets.len() / 2, octets.len() - 1]).collect();
            for cut in cuts {
                let mut frames = Frames::new();
                let (before, after) = octets.split_at(cut);
                frames.pass(before);
                assert_eq!((frames.is_within(), frames.may_begin()), (cut > 0, cut == 0));
                let more = [after, b"\x81\x01x"].concat();
                assert_eq!(frames.rest(&more), if cut > 0 { after.len() } else { 0 });
                assert_eq!(frames.rest(&after[..after.len() - 1]), if cut > 0 { after.len() - 1 } else { 0 });
                frames.pass(after);
                assert!(frames.may_begin() && !frames.is_within());
            }
        }
    }

    #[test]
    fn octet_by_octet_it_is_the_same() {
        let octets: Vec<u8> = all_forms().concat();
        let mut frames = Frames::new();
        let mut ends = 0;
        for octet in &octets {
            frames.pass(std::slice::from_ref(octet));
            ends += usize::from(frames.may_begin());
        }
        assert_eq!(ends, all_forms().len());
    }

    #[test]
    fn what_is_no_frame_is_lost_for_good() {
        for masked in [0, MASKED] {
            let mut frames = Frames::new();
            frames.pass(&[0x82, masked | 127, 0x80, 0, 0, 0, 0, 0, 0, 0]);
            assert!(!frames.is_within() && !frames.may_begin());
            frames.pass(&[0x81; 1000]);
            assert!(!frames.is_within() && !frames.may_begin());
            assert_eq!(frames.rest(b"\x81\x00"), 0);
        }
        // The longest that there can be.
        let mut frames = Frames::new();
        frames.pass(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        frames.pass(&[0; 1000]);
        assert!(frames.is_within());
    }

    #[test]
    fn nothing_follows_a_close_frame() {
        for octets in [&b"\x88\x00"[..], b"\x88\x02\x03\xe8", b"\x81\x01x\x88\x80mask"] {
            let mut frames = Frames::new();
            frames.pass(octets);
            assert!(!frames.may_begin() && !frames.is_within(), "{octets:?}");
        }
    }

    #[test]
    fn close_frames_are_written_as_the_standard_says() {
        assert_eq!(close_frame(1008, "session ended", None), b"\x88\x0f\x03\xf0session ended");
        let masked = close_frame(1001, "x", Some([0xff, 0x0f, 0xf0, 0]));
        assert_eq!(masked, [0x88, 0x83, 0xff, 0x0f, 0xf0, 0, 0x03 ^ 0xff, 0xe9 ^ 0x0f, b'x' ^ 0xf0]);
        let mut frames = Frames::new();
        frames.pass(&masked);
        assert!(frames.closed && !frames.is_within());
    }

    proptest! {
        #[test]
        fn any_octets_are_followed_alike_in_any_pieces(octets: Vec<u8>, cut in 0_usize..64) {
            let (mut whole, mut pieces) = (Frames::new(), Frames::new());
            whole.pass(&octets);
            let cut = cut.min(octets.len());
            pieces.pass(&octets[..cut]);
            let rest = pieces.rest(&octets[cut..]);
            prop_assert!(rest <= octets.len() - cut);
            pieces.pass(&octets[cut..]);
            prop_assert_eq!((whole.at, whole.closed), (pieces.at, pieces.closed));
        }
    }
}
