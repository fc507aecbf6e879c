//! What is wrong, one thing at a time: exactly that is told, and with its place.

use super::{CAMERA, Place, Surroundings, parse_in};

/// What is put in front of, or into, a configuration that is right otherwise, and the only problem that comes of it.
const WRONG: &[(&str, &str)] = &[
    ("titel = 1", "unknown-key unknown key `titel`"),
    ("[modle]", "unknown-key unknown key `modle`"),
    (
        "device = 1",
        "wrong-type device: expected a table with `name`, `timezone`, `trust_clock`, as the documentation says, found an integer",
    ),
    ("[device]\nname = \"a/b\"", "bad-value device.name: \"a/b\" has '/' in it"),
    ("[device]\nname = \"\"", "bad-value device.name: has 0 characters"),
    (
        "[device]\ntimezone = \"Europe/Pariss\"",
        "bad-value device.timezone: there is no time zone of the name \"Europe/Pariss\"",
    ),
    (
        "[device]\ntimezone = 1",
        "wrong-type device.timezone: expected a string that is not empty, without control characters, found an integer",
    ),
    ("[mqtt]", "missing-key mqtt: `url` is missing"),
    ("[mqtt]\nurl = \"http://broker\"", "bad-value mqtt.url: the scheme `http` is not supported"),
    ("[mqtt]\nurl = \"mqtt://\"", "bad-value mqtt.url: the URL has no host"),
    ("[mqtt]\nurl = \"mqtt://h\"\nprefix = \"a/#\"", "bad-value mqtt.prefix: \"a/#\" has '#' in it"),
    ("[mqtt]\nurl = \"mqtt://h\"\nprefix = \"a//b\"", "bad-value mqtt.prefix: \"a//b\" has an empty level"),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nprefix = \"home/LONG\"",
        "bad-value mqtt.prefix: \"LONG\" can't be a level of an mqtt topic: it is longer than 128 bytes",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\ndialects = [\"homeasistant\"]",
        "bad-value mqtt.dialects[0]: \"homeasistant\" is none of the choices; did you mean \"homeassistant\"?",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\ndialects = [\"native\", \"hass\"]",
        "bad-value mqtt.dialects[1]: \"hass\" is none of the choices; did you mean \"homeassistant\"?",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\ndialects = [\"native\", \"native\"]",
        "conflict mqtt.dialects[1]: is named twice",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\n[homeassistant]",
        "conflict homeassistant: nobody reads this table: Home Assistant is not among the dialects",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\ndialects = [\"homeassistant\"]\n[homeassistant]\nlabels = []",
        "bad-value homeassistant.labels: is empty, so no label would get an entity",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\ndialects = [\"homeassistant\"]\n[homeassistant]\nbirth_topic = \"a/+\"",
        "bad-value homeassistant.birth_topic: \"a/+\" has '+' in it",
    ),
    ("[record]\nbefore = \"3s\"", "missing-key record: `directory` is missing"),
    (
        "[record]\ndirectory = \"/clips\"\nbefore = \"30s\"\nlongest = \"20s\"",
        "conflict record.before: a clip would be full with what was before: 30s of 20s at most",
    ),
    (
        "[record]\ndirectory = \"/clips\"\nlongest = \"5s\"",
        "conflict record.longest: a clip would be full with what was before: 5s of 5s at most",
    ),
    (
        "[record]\ndirectory = \"/clips\"\nlabels = []",
        "bad-value record.labels: is empty, so nothing would ever count",
    ),
    (
        "[record]\ndirectory = \"/clips\"\nkeep_bytes = \"1 KiB\"",
        "bad-value record.keep_bytes: 1 KiB is out of range",
    ),
    ("[mqtt]\nurl = \"mqtt://h\"\nclient_id = \"\"", "bad-value mqtt.client_id: is empty"),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nkeep_alive = 30",
        "wrong-type mqtt.keep_alive: expected a duration such as \"500ms\", \"5s\" or \"24h\", from 1s to 18h, found an integer",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nkeep_alive = \"30\"",
        "bad-value mqtt.keep_alive: \"30\" is no duration: time unit needed, for example 30sec or 30ms",
    ),
    ("[mqtt]\nurl = \"mqtt://h\"\nkeep_alive = \"10ms\"", "bad-value mqtt.keep_alive: 10ms is out of range"),
    ("[mqtt]\nurl = \"mqtt://h\"\nqueue_messages = 0", "bad-value mqtt.queue_messages: 0 is out of range"),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nqueue_bytes = \"99999999999 GiB\"",
        "bad-value mqtt.queue_bytes: \"99999999999 GiB\" is no size in bytes",
    ),
    ("[mqtt]\nurl = \"mqtt://h\"\nspool = {}", "missing-key mqtt.spool: `path` is missing"),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nspool = \"@/spool.redb\"",
        "wrong-type mqtt.spool: expected a table with `path`, `max_bytes`, `max_age`, as the documentation says, found a string",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nspool = { path = \"@\" }",
        "bad-value mqtt.spool.path: @ is a folder, not a file",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nspool = { path = \"@/none/\" }",
        "bad-value mqtt.spool.path: @/none/ is a folder, not a file",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nspool = { path = \"@/s\", max_bytes = \"1 KiB\" }",
        "bad-value mqtt.spool.max_bytes: 1 KiB is out of range",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nspool = { path = \"@/s\", max_age = \"0s\" }",
        "bad-value mqtt.spool.max_age: 0s is out of range",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nspool = { path = \"@/s\", size = 1 }",
        "unknown-key mqtt.spool: unknown key `size`",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\npassword = \"p\"",
        "unknown-key mqtt: unknown key `password`",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\npassword_file = \"@/none\"",
        "file mqtt.password_file: @/none does not exist",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\npassword_file = \"@/empty\"",
        "file mqtt.password_file: the mqtt password in @/empty is empty (one line of UTF-8 text is expected)",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\npassword_file = \"@\"",
        "file mqtt.password_file: @ is a folder, not a file",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\npassword_file = \"/dev/null\"",
        "file mqtt.password_file: /dev/null is no regular file",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\npassword_file = \"@/password\"",
        "conflict mqtt: a password without a user name",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\ncredential = \"none\"",
        "file mqtt.credential: can't read the mqtt password from @/none: No such file or directory (os error 2) (is it there, and may this user read it?)",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\ncredential = \"../x\"",
        "bad-value mqtt.credential: is no credential's name: it has a `/` in it, or begins with a dot",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\ncredential = \"password\"\npassword_file = \"@/password\"",
        "conflict mqtt: the password is said to be at two places",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nca_file = \"@/ca.pem\"",
        "conflict mqtt.ca_file: `ca_file` is for TLS, and the URL asks for none",
    ),
    (
        "[mqtt]\nurl = \"mqtts://h\"\nca_file = \"@/password\"",
        "file mqtt.ca_file: @/password holds no certificate: the ca file must be PEM (-----BEGIN CERTIFICATE-----)",
    ),
    (
        "[mqtt]\nurl = \"mqtts://h\"\nca_file = \"@/ca.pem\"\nclient_cert = \"@/ca.pem\"",
        "missing-key mqtt.client_cert: `client_key` is missing: certificate and key go together",
    ),
    (
        "[mqtt]\nurl = \"mqtts://h\"\nca_file = \"@/ca.pem\"\nclient_cert = \"@/ca.pem\"\nclient_key = \"@/ca.pem\"",
        "file mqtt.client_key: can't read the client key @/ca.pem: no items found",
    ),
    (
        "[mqtt]\nurl = \"mqtts://h\"\nca_file = \"@/ca.pem\"\nclient_cert = \"@/ca.pem\"\nclient_key = \"@/other.pem\"",
        "conflict mqtt.client_cert: can't use the client certificate @/ca.pem with the key @/other.pem: keys may not be consistent: KeyMismatch (do they belong together?)",
    ),
    (
        "[mqtt]\nurl = \"mqtts://[::1]\"\nca_file = \"@/ca.pem\"",
        "bad-value mqtt.url: can't verify a certificate for the bare IPv6 address ::1 (give the broker's host name instead)",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\npassword_file = \"@/latin1\"",
        "file mqtt.password_file: the mqtt password in @/latin1 is not UTF-8 text (one line of UTF-8 text is expected)",
    ),
    (
        "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\npassword_file = \"hunter2\"",
        "file mqtt.password_file: no such file can be read in the working directory",
    ),
    (
        "[mqtt]\nurl = \"mqtt://me:pa/ss\\u0040h\"",
        "bad-value mqtt.url: the URL has a user name or a password in it",
    ),
    (
        "[mqtt]\nurl = \"mqtt://me:hun\\u0001ter\\u0040h\"",
        "bad-value mqtt.url: has a control character in it",
    ),
    (
        "[model]\nnames = [\"person\", \"motion\"]",
        "bad-value model.names[1]: `motion` is a topic of Vigie's own, and no label can have its name",
    ),
    ("[model]\npath = \"@/none.onnx\"", "file model.path: @/none.onnx does not exist"),
    (
        "[model]\npath = \"~/m.onnx\"",
        "bad-value model.path: `~` is a shell's word for the home directory; write the whole path",
    ),
    ("[model]\nthreads = -1", "bad-value model.threads: -1 is out of range"),
    (
        "[model]\nthreads = 1.5",
        "wrong-type model.threads: expected a whole number from 0 to 256, found a number",
    ),
    ("[model]\nnames = []", "bad-value model.names: is empty"),
    ("[model]\ncores = []", "bad-value model.cores: is empty, so nothing could run"),
    ("[log]\nmodules = { \"a,b\" = \"info\" }", "bad-value log.modules.\"a,b\": `a,b` is no module"),
    ("[model]\nimgsz = [320]", "bad-value model.imgsz: has 1 values instead of two"),
    (
        "[model]\nimgsz = 320",
        "wrong-type model.imgsz: expected height, then width in pixels, such as [256, 320], found an integer",
    ),
    ("[model]\nnms_iou = nan", "bad-value model.nms_iou: NaN is out of range"),
    ("[detect]\nmax_fps = 0", "bad-value detect.max_fps: 0 is out of range"),
    ("[detect]\nhold = \"61m\"", "bad-value detect.hold: 61m is out of range"),
    (
        "[detect]\nthresholds = { dog = \"high\" }",
        "wrong-type detect.thresholds.dog: expected a number from 0 to 1, found a string",
    ),
    ("[log]\nlevel = \"verbose\"", "bad-value log.level: \"verbose\" is none of the choices"),
    ("[stats]\ninterval = \"2 weeks\"", "bad-value stats.interval: 2 weeks is out of range"),
];

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let place = Place::new();
    for (text, expected) in WRONG {
        let long = |text: &str| text.replace("LONG", &"x".repeat(129));
        let expected = long(expected).replace('@', &place.path().display().to_string());
        let text = long(&format!("{text}\n{CAMERA}"));
        assert_eq!(place.problems(&text), [expected], "in\n{text}");
        let problems = place.parse(&text).expect_err("a problem");
        assert!(problems[0].position().is_some(), "no place in\n{text}");
    }
}

/// What is added to the table of a camera that is right otherwise, and the only problem that comes of it.
const WRONG_IN_CAMERA: &[(&str, &str)] = &[
    ("nmae = 1", "unknown-key camera[0]: unknown key `nmae`"),
    ("size = [8, 720]", "bad-value camera[0].size: 8 is out of range"),
    (
        "size = \"720p\"",
        "wrong-type camera[0].size: expected width, then height in pixels, such as [1280, 720], found a string",
    ),
    (
        "[[camera]]\nname = \"stats\"\nsource = { testcard = true }",
        "bad-value camera[1].name: `stats` is a topic of Vigie's own, and no camera can have its name",
    ),
    (
        "[[camera.zone]]\nname = \"events\"\npoints = [[0, 0], [1, 0], [0, 1]]",
        "bad-value camera[0].zone[0].name: `events` is a topic of Vigie's own, and no zone can have its name",
    ),
    (
        "format = \"YUY2\"",
        "bad-value camera[0].format: \"YUY2\" is none of the choices; did you mean \"YUYV\"?",
    ),
    (
        "fps = 0.1\nstall_after = \"5s\"",
        "conflict camera[0].stall_after: a frame comes every 10s, so each would be late",
    ),
    ("[[camera.zone]]\nname = \"z\"", "missing-key camera[0].zone[0]: `points` is missing"),
    ("[[camera.line]]\nname = \"l\"", "missing-key camera[0].line[0]: `points` is missing"),
    (
        "[[camera.line]]\nname = \"l\"\npoints = [[0, 0], [0, 1], [1, 1]]",
        "bad-value camera[0].line[0].points: a line has two ends, and here are 3 point(s)",
    ),
    (
        "[[camera.line]]\nname = \"l\"\npoints = [[0.5, 0.5], [0.5, 0.5]]",
        "bad-value camera[0].line[0].points: both ends are the same point, so there is nothing to cross",
    ),
    (
        "[[camera.line]]\nname = \"l\"\npoints = [[0.5, 0.5], [640, 0.5]]",
        "bad-value camera[0].line[0].points: an end lies outside of the picture",
    ),
    (
        "[[camera.line]]\nname = \"l\"\npoints = [[5, 5], [64, 5]]\nunit = \"px\"",
        "conflict camera[0].line[0].unit: pixels of what? the camera has no `size`",
    ),
    (
        "[[camera.line]]\nname = \"l\"\npoints = [[0, 0], [0, 1]]\n[[camera.line]]\nname = \"l\"\npoints = [[1, 0], [0, 1]]",
        "conflict camera[0].line[1].name: there is another line of the name `l`",
    ),
    (
        "[[camera.ignore_zone]]\npoints = [[0, 0], [1, 1]]",
        "bad-value camera[0].ignore_zone[0].points: a polygon has at least 3 points, this has 2",
    ),
    (
        "[[camera.ignore_zone]]\nlabels = []\npoints = [[0, 0], [1, 0], [0, 1]]",
        "bad-value camera[0].ignore_zone[0].labels: is empty, so nothing would ever count",
    ),
    (
        "[camera.filters]\nperson = { min_area = 0.5, max_area = 0.1 }",
        "conflict camera[0].filters.person: `min_area` 0.5 is more than `max_area` 0.1, so nothing would ever pass",
    ),
    (
        "[camera.filters]\n\"*\" = { min_score = 2 }",
        "bad-value camera[0].filters.\"*\".min_score: 2 is out of range",
    ),
    (
        "[camera.filters]\nperson = 0.5",
        "wrong-type camera[0].filters.person: expected a table with `min_area`, `max_area`, `min_aspect`, `max_aspect`, \
         `min_score`, `min_displacement`, as the documentation says, found a number",
    ),
    (
        "[frigate]\nprefix = \"f\"",
        "conflict frigate: nobody reads this table: Frigate is not among the dialects",
    ),
    ("[track]\nmin_hits = 0", "bad-value track.min_hits: 0 is out of range"),
    ("[track]\nlost_after = \"1ms\"", "bad-value track.lost_after: 1ms is out of range"),
    (
        "[[camera.privacy_mask]]\npoints = [[0, 0], [1, 1]]",
        "bad-value camera[0].privacy_mask[0].points: a polygon has at least 3 points, this has 2",
    ),
    (
        "[[camera.privacy_mask]]\npoints = [[0, 0], [1, 1], [0.5, 0.5]]",
        "bad-value camera[0].privacy_mask[0].points: the points lie on a line: there is nothing inside",
    ),
    (
        "[[camera.privacy_mask]]\npoints = [[0, 0], [1, 1], [1, 0], [0, 1]]",
        "bad-value camera[0].privacy_mask[0].points: the edges after points 0 and 2 cross or touch",
    ),
    (
        "[[camera.privacy_mask]]\npoints = [[0, 0], [2, 0], [0, 1]]",
        "bad-value camera[0].privacy_mask[0].points: point 1 lies outside of the picture",
    ),
    (
        "[[camera.privacy_mask]]\npoints = [[0, 0], [1, 0], [0, 1], [0, 0]]",
        "bad-value camera[0].privacy_mask[0].points: points 0 and 3 are the same",
    ),
    (
        "[[camera.privacy_mask]]\npoints = [[0, 0], [1, \"0\"], [0, 1]]",
        "wrong-type camera[0].privacy_mask[0].points[1]: expected a coordinate, found a string",
    ),
    (
        "[[camera.privacy_mask]]\nunit = \"px\"\npoints = [[0, 0], [9, 0], [0, 9]]",
        "conflict camera[0].privacy_mask[0].unit: pixels of what? the camera has no `size`",
    ),
    (
        "[[camera.privacy_mask]]\nunit = \"pt\"\npoints = [[0, 0], [9, 0], [0, 9]]",
        "bad-value camera[0].privacy_mask[0].unit: \"pt\" is none of the choices; did you mean \"px\"?",
    ),
    (
        "[[camera.zone]]\nname = \"z\"\nlabels = []\npoints = [[0, 0], [1, 0], [0, 1]]",
        "bad-value camera[0].zone[0].labels: is empty, so nothing would ever count",
    ),
    (
        "[[camera]]\nname = \"front\"\nsource = { testcard = true }",
        "conflict camera[1].name: there is another camera of the name `front`",
    ),
    ("[[camera]]\nname = \"b\"", "missing-key camera[1]: `source` is missing"),
    (
        "[[camera]]\nname = \"b\"\nsource = {}",
        "missing-key camera[1].source: does not say where frames come from",
    ),
    (
        "[[camera]]\nname = \"b\"\nsource = { devise = \"/dev/video1\" }",
        "unknown-key camera[1].source: unknown key `devise`",
    ),
    (
        "[[camera]]\nname = \"b\"\nsource = { device = \"/dev/video0\" }",
        "conflict camera[1].source: another camera has the same device, and a device can be opened once only",
    ),
    (
        "[[camera]]\nname = \"b\"\nsource = { usb = \"046d\" }",
        "bad-value camera[1].source.usb: \"046d\" is no USB id",
    ),
    (
        "[[camera]]\nname = \"b\"\nsource = { usb = \"046d:0825\", clip = \"@/clip.avi\" }",
        "conflict camera[1].source: frames can come from one place only",
    ),
    (
        "[[camera]]\nname = \"b\"\nsource = { device = \"/dev/video1\", fps = 5 }",
        "conflict camera[1].source.fps: a device's rate does not belong here",
    ),
    (
        "[[camera]]\nname = \"b\"\nsource = { testcard = false }",
        "bad-value camera[1].source.testcard: a test card that is none",
    ),
    (
        "[[camera]]\nname = \"b\"\nsource = { pictures = \"@/none\" }",
        "file camera[1].source.pictures: @/none does not exist",
    ),
    (
        "[[camera]]\nname = \"b\"\nsource = { testcard = true }\nformat = \"YUYV\"",
        "conflict camera[1].format: `format` asks something of a device, and the source is the test card",
    ),
    (
        "hours = { from = \"22:00\", to = \"06:00\" }",
        "conflict camera[0].hours: ends at 06:00, before it begins at 22:00",
    ),
    (
        "hours = [{}, { from = \"7:00\", to = \"07:00\" }]",
        "conflict camera[0].hours[1]: begins and ends at 07:00, so it is empty",
    ),
    ("hours = { from = \"24:00\" }", "conflict camera[0].hours: begins at 24:00, when the day is over"),
    ("hours = { from = \"25:00\" }", "bad-value camera[0].hours.from: \"25:00\" is no time of the day"),
    (
        "hours = { from = 22:00:00 }",
        "wrong-type camera[0].hours.from: expected a time of the day in quotes, from \"00:00\" to \"24:00\", found a date",
    ),
    (
        "hours = { days = [\"mon\", \"friday\"] }",
        "bad-value camera[0].hours.days[1]: \"friday\" is none of the choices; did you mean \"fri\"?",
    ),
    ("hours = { days = [] }", "bad-value camera[0].hours.days: is empty, so it would never begin"),
    ("hours = []", "bad-value camera[0].hours: is empty, so nobody would ever look"),
    ("hours = { until = \"06:00\" }", "unknown-key camera[0].hours: unknown key `until`"),
    (
        "hours = \"22:00-24:00\"",
        "wrong-type camera[0].hours: expected a table with `from`, `to`, `days`, as the documentation says, or a list of such, found a string",
    ),
    (
        "[[camera.zone]]\nname = \"z\"\npoints = [[0, 0], [1, 0], [0, 1]]\nhours = { from = \"9:00\", to = \"8:59\" }",
        "conflict camera[0].zone[0].hours: ends at 08:59, before it begins at 09:00",
    ),
];

#[test]
fn what_is_wrong_with_a_camera_is_told_with_its_place() {
    let place = Place::new();
    for (text, expected) in WRONG_IN_CAMERA {
        let expected = expected.replace('@', &place.path().display().to_string());
        let text = format!("{CAMERA}{text}");
        assert_eq!(place.problems(&text), [expected], "in\n{text}");
    }
}

#[test]
fn a_size_that_looks_turned_is_asked_about() {
    let place = Place::new();
    let mask = "[[camera.privacy_mask]]\nunit = \"px\"\npoints = [[0, 0], [1200, 0], [0, 700]]\n";
    let hint = |size: &str| {
        let problems = place.parse(&format!("{CAMERA}size = {size}\n{mask}")).expect_err("outside");
        problems[0].hint_text().expect("a hint").to_owned()
    };
    assert_eq!(
        hint("[720, 1280]"),
        "the camera's `size` is [720, 1280], width, then height: is it meant the other way round?"
    );
    assert_eq!(hint("[640, 480]"), "the camera's `size` is [640, 480], width, then height");
}

#[test]
fn what_is_wrong_with_several_files_is_told_at_once_and_each_at_its_key() {
    let place = Place::new();
    let text = format!(
        "[mqtt]\nurl = \"mqtts://[::1]\"\nusername = \"u\"\nca_file = \"@/password\"\nclient_cert = \"@/empty\"\n\
         client_key = \"@/latin1\"\npassword_file = \"@/empty\"\n{CAMERA}"
    );
    let problems = place.parse(&text).expect_err("wrong");
    let told: Vec<_> = problems.iter().map(|p| (p.path(), p.position().expect("a place"))).collect();
    let expected = [
        ("mqtt.url", (2, 7)),
        ("mqtt.ca_file", (4, 11)),
        ("mqtt.client_cert", (5, 15)),
        ("mqtt.client_key", (6, 14)),
        ("mqtt.password_file", (7, 17)),
    ];
    assert_eq!(told, expected, "{problems:#?}");
    // Of a URL that can't be used nothing follows, and the files are looked at all the same.
    let problems = place.problems(&text.replace("mqtts://[::1]", "tcp://h"));
    assert_eq!(problems.len(), 5, "{problems:#?}");
    assert!(problems[0].contains("the scheme `tcp`"), "{problems:#?}");
}

#[test]
fn a_credential_is_taken_on_trust_outside_of_the_service() {
    let place = Place::new();
    let text = format!("[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\ncredential = \"none\"\n{CAMERA}");
    assert_eq!(place.problems(&text).len(), 1);
    let outside = Surroundings { credentials: None, ..place.around() };
    assert!(parse_in(&outside, &text).is_ok());
}
