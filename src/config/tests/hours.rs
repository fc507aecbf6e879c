//! Hours and time zones that are wrong, and what is said to mend them.

use super::{CAMERA, Place};

#[test]
fn a_span_over_midnight_is_shown_as_the_two_that_it_is() {
    let place = Place::new();
    let problem = |hours: &str| {
        let problems = place.parse(&format!("{CAMERA}hours = {hours}\n")).expect_err("wrong");
        let [problem] = &problems[..] else { panic!("{problems:#?}") };
        (problem.hint_text().expect("a hint").to_owned(), problem.position().expect("a place"))
    };
    let two = |evening: &str, morning: &str| {
        let spans = format!("hours = [\n  {evening},\n  {morning},\n]");
        format!("a span is of one day; one over midnight is written as two:\n\n{spans}")
    };
    let (hint, position) = problem("{ from = \"22:00\", to = \"06:00\" }");
    let (evening, morning) = ("{ from = \"22:00\", to = \"24:00\" }", "{ from = \"00:00\", to = \"06:00\" }");
    assert_eq!((hint, position), (two(evening, morning), (4, 32)), "where it ends");
    let (hint, _) = problem("{ from = \"22:00\", to = \"06:00\", days = [\"fri\", \"sun\"] }");
    let with = |span: &str, days: &str| span.replace(" }", &format!(", days = [{days}] }}"));
    let expected = two(&with(evening, "\"fri\", \"sun\""), &with(morning, "\"mon\", \"sat\""));
    assert_eq!(hint, expected, "the morning is of the day after");
    let (hint, _) = problem("{ from = \"22:00\", to = \"00:00\" }");
    assert_eq!(hint, "the midnight at the end of a day is \"24:00\": { from = \"22:00\", to = \"24:00\" }");
    assert_eq!(problem("{ to = \"0:00\" }").0, "a whole day is from \"00:00\" to \"24:00\"");
    // What is shown is right.
    place.config(&format!("{CAMERA}hours = [{evening}, {morning}]\n"));
}

#[test]
fn a_time_zone_that_there_is_not_is_guessed() {
    let place = Place::new();
    let hint = |name: &str| {
        let problems = place.parse(&format!("[device]\ntimezone = \"{name}\"\n{CAMERA}")).expect_err("wrong");
        problems[0].hint_text().expect("a hint").to_owned()
    };
    assert_eq!(hint("Europe/Prais"), "did you mean \"Europe/Paris\"?");
    assert_eq!(hint("paris"), "did you mean \"Europe/Paris\"?");
    assert!(hint("Middle-earth/Minas_Tirith").contains("timedatectl"), "and no list of six hundred");
}
