//! Clips made here, whole and broken.

use super::*;
use crate::capture::jpeg::tests::picture;
use crate::capture::testing::FakeClock;
use crate::frame::Range;

const STALL: Duration = Duration::from_secs(5);

fn open(bytes: &[u8], fps: Option<f32>) -> Result<(Clip, Arc<FakeClock>), Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let clock = Arc::new(FakeClock::new());
    Clip::open(file.path(), fps, STALL, clock.clone()).map(|clip| (clip, clock))
}

fn frames(clip: &mut Clip, count: usize) -> Vec<Frame> {
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), clip.clock.now());
    let next = |_| {
        clip.next(&mut frame).unwrap();
        frame.clone()
    };
    (0..count).map(next).collect()
}

fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = [&id[..], &(body.len() as u32).to_le_bytes(), body].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

fn list(kind: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"LIST", &[&kind[..], &parts.concat()].concat())
}

/// An AVI with a sound stream before the video one.
fn avi(codec: &[u8; 4], size: (i32, i32), movi: &[Vec<u8>]) -> Vec<u8> {
    let mut head = vec![0; 56];
    head[..8].copy_from_slice(&[&b"vids"[..], codec].concat());
    head[20..28].copy_from_slice(&[1001_u32.to_le_bytes(), 15_000_u32.to_le_bytes()].concat());
    let mut format = vec![0; 40];
    format[4..12].copy_from_slice(&[size.0.to_le_bytes(), size.1.to_le_bytes()].concat());
    format[16..20].copy_from_slice(codec);
    let sound =
        list(b"strl", &[chunk(b"strh", &[b"auds".as_slice(), &[0; 52]].concat()), chunk(b"strf", &[0; 16])]);
    let video = list(b"strl", &[chunk(b"strh", &head), chunk(b"strf", &format), chunk(b"JUNK", &[0; 7])]);
    let headers = list(b"hdrl", &[chunk(b"avih", &[0; 56]), sound, video]);
    let info = list(b"INFO", &[chunk(b"ISFT", b"a test")]);
    let body = [&b"AVI "[..], &headers, &info, &list(b"movi", movi)].concat();
    chunk(b"RIFF", &body)
}

#[test]
fn an_avi_plays_over_and_over_at_its_own_rate() {
    let (a, b) = (picture(32, 16), picture(48, 16));
    let movi = [
        chunk(b"00wb", &[7; 11]),
        chunk(b"01dc", &a),
        chunk(b"01dc", &[]),
        list(b"rec ", &[chunk(b"ix01", &[0; 8]), chunk(b"01db", &b)]),
    ];
    let (mut clip, clock) = open(&avi(b"MJPG", (32, -16), &movi), None).unwrap();
    assert_eq!(clip.negotiated().size, Size::new(32, 16));
    assert!((clip.negotiated().fps.unwrap() - 14.985).abs() < 0.001);
    let frames = frames(&mut clip, 5);
    assert_eq!(frames.iter().map(|f| f.size.width).collect::<Vec<_>>(), [32, 48, 32, 48, 32]);
    assert_eq!(frames[1].data, b);
    assert!((clock.elapsed().as_secs_f32() - 4.0 / 14.985).abs() < 1e-3);
    assert_eq!(clip.counters(), Counters::default());
}

#[test]
fn an_unfinished_recording_plays_up_to_its_end() {
    let (a, b) = (picture(32, 16), picture(48, 16));
    let mut bytes = avi(b"mjpg", (32, 16), &[chunk(b"01dc", &a), chunk(b"01dc", &b)]);
    bytes.truncate(bytes.len() - 30);
    bytes[4..8].copy_from_slice(&[0; 4]);
    let movi = bytes.windows(4).position(|w| w == b"movi").unwrap();
    bytes[movi - 4..movi].copy_from_slice(&[0xFF; 4]);
    let (mut clip, _) = open(&bytes, Some(5.0)).unwrap();
    let frames = frames(&mut clip, 3);
    assert!(frames.iter().all(|f| f.data == a));
    assert_eq!(clip.counters().truncated, 2);
}

#[test]
fn an_avi_of_another_codec_says_which() {
    let e = open(&avi(b"H264", (32, 16), &[chunk(b"01dc", &[1, 2, 3])]), None).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::BadInput);
    assert!(e.to_string().ends_with("its video is H264, not Motion-JPEG"), "{e}");
}

#[test]
fn a_bare_stream_resynchronises_after_garbage() {
    let (a, b) = (picture(32, 16), picture(48, 16));
    let bytes =
        [&a[..], b"\r\n--part\r\nContent-Type: image/jpeg\r\n\r\n", &b, &a[..a.len() / 2], &b, &a[..9]]
            .concat();
    let (mut clip, _) = open(&bytes, Some(10.0)).unwrap();
    assert_eq!(clip.negotiated().size, Size::new(32, 16));
    let frames = frames(&mut clip, 6);
    assert_eq!(frames.iter().map(|f| f.size.width).collect::<Vec<_>>(), [32, 48, 48, 32, 48, 48]);
    assert!(frames.iter().all(|f| f.data == a || f.data == b));
    assert_eq!(clip.counters().truncated, 3, "half a picture twice, the end once");
}

#[test]
fn y4m_of_every_layout_that_is_understood() {
    let file = |header: &str, bytes: usize| {
        let picture: Vec<u8> = (0..bytes).map(|i| i as u8).collect();
        let frame = [&b"FRAME Ip\n"[..], &picture].concat();
        [format!("YUV4MPEG2 {header}\n").as_bytes(), &frame, &frame].concat()
    };
    let (mut clip, clock) =
        open(&file("W5 H3 F30:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL", 15 + 2 * 6), None).unwrap();
    let all = frames(&mut clip, 4);
    assert_eq!((all[3].format, all[3].data.len(), all[3].colour.range), (PixelFormat::Yu12, 27, Range::Full));
    assert!((clock.elapsed().as_secs_f32() - 0.1).abs() < 1e-6);

    let (mut clip, _) = open(&file("W3 H2 F25:1 C422", 6 + 2 * 4), None).unwrap();
    let yuyv = &frames(&mut clip, 1)[0];
    assert_eq!(yuyv.format, PixelFormat::Yuyv);
    assert_eq!(yuyv.data, [0, 6, 1, 10, 2, 7, 2, 11, 3, 8, 4, 12, 5, 9, 5, 13]);

    let (mut clip, _) = open(&file("W4 H4 F0:0 Cmono", 16), None).unwrap();
    assert_eq!(frames(&mut clip, 1)[0].format, PixelFormat::Grey);
    assert_eq!(clip.negotiated().fps, Some(DEFAULT_FPS));

    for (header, word) in
        [("W4 H4 C444", "C444"), ("W4 H4 C420p10", "C420p10"), ("W0 H4", "0x4"), ("Wx H4", "\"x\"")]
    {
        let e = open(&file(header, 16), None).err().unwrap();
        assert!(e.to_string().contains(word), "{header}: {e}");
    }
}

#[test]
fn a_file_without_frames_fails_instead_of_spinning() {
    let (mut clip, _) = open(b"YUV4MPEG2 W4 H4\nFRAME\nshort", None).unwrap();
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), clip.clock.now());
    assert_eq!(clip.next(&mut frame).unwrap_err().kind(), ErrorKind::BadInput);
    let (mut clip, _) = open(&avi(b"MJPG", (32, 16), &[]), None).unwrap();
    assert_eq!(clip.next(&mut frame).unwrap_err().kind(), ErrorKind::BadInput);
}

#[test]
fn what_is_no_clip_is_told_apart() {
    let word = |bytes: &[u8]| open(bytes, None).err().unwrap().to_string();
    assert!(word(b"\0\0\0\x18ftypmp42....").contains("MP4"));
    assert!(word(&[0x1A, 0x45, 0xDF, 0xA3, 0, 0, 0, 0, 0, 0, 0, 0]).contains("Matroska"));
    assert!(word(b"").ends_with("is empty"));
    assert!(word(b"hello, this is text").contains("no clip"));
    assert!(word(b"RIFF\0\0\0\0AVI LIST").contains("ends before its first frame"));
    let e = Clip::open(Path::new("/"), None, STALL, Arc::new(FakeClock::new())).err().unwrap();
    assert!(e.to_string().contains("folder"));
}

#[test]
fn noise_in_a_clip_is_no_panic_and_ends() {
    let a = picture(32, 16);
    let y4m = [b"YUV4MPEG2 W8 H8 F5:1 C420\nFRAME\n".as_slice(), &[9; 96], b"FRAME\n", &[9; 96]].concat();
    let clips =
        [avi(b"MJPG", (32, 16), &[chunk(b"01dc", &a), chunk(b"01dc", &a)]), [&a[..], &a].concat(), y4m];
    let mut random = fastrand::Rng::with_seed(5);
    let now = FakeClock::new().now();
    for i in 0..600 {
        let mut bytes = clips[i % 3].clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(12..bytes.len());
            bytes[at] = random.u8(..);
        }
        bytes.truncate(random.usize(0..=bytes.len()));
        if let Ok((mut clip, _)) = open(&bytes, Some(100.0)) {
            let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), now);
            for _ in 0..4 {
                if clip.next(&mut frame).is_err() {
                    break;
                }
            }
        }
    }
}
