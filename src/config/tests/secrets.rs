//! A password that stands where it should not is never told, whatever is wrong with it or near it.

use proptest::prelude::*;

use super::*;
use crate::config::report::position;

/// Where people put passwords; `%` stands for one.
const PLACES: &[&str] = &[
    "[mqtt]\nurl = \"mqtt://me:%@broker\"\n",
    "[mqtt]\nurl = 'mqtt://%@broker'\n",
    "[mqtt]\nurl = \"me:%@broker\"\n",
    "[mqtt]\nurl = \"%@broker\"\nurl = 1\n",
    "[mqtt]\nurl = mqtts://me:%@broker\n",
    "[mqtt]\nurl = \"\"\"\nmqtt://me:%@broker\"\"\"\n",
    "[mqtt]\nurl = \"mqtt://me:%\nx@broker\"\n",
    "[mqtt]\nurl = \"mqtt://me:x\n%@broker\"\n",
    "[mqtt]\nurl = \"mqtt://h\"\npassword = \"%\"\n",
    "[mqtt]\nurl = \"mqtt://h\"\nmqtt_password = '%'\n",
    "[mqtt]\nurl = \"mqtt://h\"\nMQTT-PassWord = %\n",
    "[mqtt]\nurl = \"mqtt://h\"\napi_token = [\n  \"x\",\n  \"%\"\n]\n",
    "[mqtt]\nurl = \"mqtt://h\"\nclient.secret = { value = \"%\" }\n",
    "[mqtt]\nurl = \"mqtt://h\"\nsecret = \"\"\"\n%\n\"\"\"\n",
    "[mqtt]\nurl = \"mqtt://h\"\nnote = '''\n%\n'''\n",
    "[mqtt]\nurl = \"mqtt://h\"\npassword =\n\"%\"\n",
    "[mqtt]\nurl = \"mqtt://h\"\npassword = \"x\n%\"\n",
    "[mqtt]\nurl = \"mqtt://h\"\npassword: %\n",
    "[mqtt]\nurl = \"mqtt://h\"\npassword %\n",
    "[mqtt]\nurl = \"mqtt://h\"\nusername = 1\n#password = \"%\"\n",
    "[mqtt]\nurl = \"mqtt://h\"\nusername = \"u\"\npassword_file = \"%\"\n",
    "[mqtt.password]\nvalue = \"%\"\n",
    "[secrets]\nmqtt = \"%\"\n",
    "mqtt = { url = \"tcp://h\", password = \"%\" }\n",
];

/// What stands after it and is wrong too, so that the line before is quoted with it.
const NEIGHBOURS: &[&str] =
    &["", "keep_alive = 30\n", "nonsense\n", "prefix = \"\n", "[detect]\nmax_fps = 0\n"];

proptest! {
    // More with PROPTEST_CASES.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1500)))]

    #[test]
    fn a_password_is_in_no_rendering(
        place in prop::sample::select(PLACES),
        neighbour in prop::sample::select(NEIGHBOURS),
        password in "[!-~é]{6,16}",
        // What means something in TOML or in a URL comes more often than by chance.
        mark in prop::sample::select(vec!["", "/", "#", "?", "@", "\"", "'", "\\", ":", "=", "[", "{", ",", "\"\"\""]),
    ) {
        let password = format!("Kx{mark}{password}");
        let text = format!("{}{neighbour}{CAMERA}", place.replace('%', &password));
        let told = match Config::parse("test", &text) {
            Ok(config) => config.to_toml(),
            Err(error) => {
                let fields = error.problems().iter().flat_map(|problem| {
                    [problem.message(), problem.path(), problem.hint_text().unwrap_or_default()].map(str::to_owned)
                });
                let mut told: Vec<String> = fields.collect();
                told.push(format!("{error:?}"));
                told.push(format!("{:?}", miette::Report::new(error)));
                told.join("\n")
            }
        };
        prop_assert!(!told.contains(&password), "{text}\nis told as\n{told}");
        // Nor a line of it that was cut out of the quoted source.
        let bare: String = told.split_whitespace().collect();
        prop_assert!(!bare.contains(&password), "{text}\nis told as\n{told}");
    }
}

#[test]
fn places_are_told_of_lines_with_secrets_too() {
    let text = format!("[mqtt]\nurl = \"mqtt://me:pa/ss@broker\"\n{CAMERA}");
    let error = Config::parse("test", &text).expect_err("a password in the URL");
    assert_eq!(error.problems()[0].position(), Some(position(&text, text.find("\"mqtt:").expect("a URL"))));
    let shown = format!("{:?}", miette::Report::new(error));
    assert!(shown.contains("mqtt://********@broker") && shown.contains("password_file"), "{shown}");
}
