//! What holds for every command: envelopes, exit codes, settings.

mod cli_support;

use cli_support::{Place, run};

#[test]
fn every_command_answers_a_wrong_command_line_with_one_envelope() {
    let place = Place::empty();
    for command in [
        "host",
        "check",
        "provision",
        "publish",
        "entity",
        "doctor",
        "demo",
        "nonsense",
    ] {
        let run = place
            .wharf(&[command, "--no-such-flag", "-o", "json"])
            .expect(2);
        assert_eq!(run.error_code(), "WH0002", "{command}");
        let run = place.wharf(&[command, "--no-such-flag"]).expect(2);
        assert!(
            run.out.is_empty() && !run.err.is_empty(),
            "{command}: {run:?}"
        );
    }
}

#[test]
fn every_command_that_needs_a_broker_answers_its_absence_with_one_envelope() {
    let place = Place::shop("nats://127.0.0.1:1");
    let commands: [&[&str]; 4] = [
        &["provision"],
        &["publish", "order.placed", "--key", "A"],
        &["entity", "show", "order", "A"],
        &["doctor"],
    ];
    for command in commands {
        let document = place
            .wharf(&[command, &["-o", "json"]].concat())
            .expect(6)
            .json();
        let error = &document["error"];
        assert_eq!(
            (&error["code"], &error["place"]),
            (&"WH0201".into(), &"nats://127.0.0.1:1".into()),
            "{command:?}"
        );
        assert_eq!(error["page"], "docs/errors/WH0201.md");
        assert!(
            error["remedy"]
                .as_str()
                .is_some_and(|remedy| remedy.contains("--nats-url"))
        );
    }
}

#[test]
fn a_flag_goes_before_the_environment_and_the_environment_before_the_file() {
    let place = Place::shop("nats://127.0.0.1:1");
    let reached = |flag: Option<&str>, variable: Option<&str>| {
        let mut command = place.command(&["doctor", "-o", "json"]);
        command.args(flag.map(|url| format!("--nats-url={url}")));
        command.envs(variable.map(|url| ("WHARF_NATS_URL", url)));
        run(&mut command).expect(6).json()["error"]["place"].clone()
    };
    assert_eq!(reached(None, None), "nats://127.0.0.1:1");
    assert_eq!(
        reached(None, Some("nats://127.0.0.1:2")),
        "nats://127.0.0.1:2"
    );
    assert_eq!(
        reached(Some("nats://127.0.0.1:3"), Some("nats://127.0.0.1:2")),
        "nats://127.0.0.1:3"
    );
}

#[test]
fn a_context_is_read_when_it_is_named_and_contradicts_an_address() {
    let place = Place::shop("nats://127.0.0.1:1");
    place.write(
        "nats/context/prod.json",
        r#"{ "url": "nats://127.0.0.1:4" }"#,
    );
    let document = place
        .wharf(&["doctor", "--nats-context", "prod", "-o", "json"])
        .expect(6)
        .json();
    assert_eq!(document["error"]["place"], "nats://127.0.0.1:4");

    let both = [
        "doctor",
        "--nats-context",
        "prod",
        "--nats-url",
        "nats://127.0.0.1:4",
        "-o",
        "json",
    ];
    assert_eq!(place.wharf(&both).expect(2).error_code(), "WH0109");
    let absent = place
        .wharf(&["doctor", "--nats-context", "dev", "-o", "json"])
        .expect(1)
        .json();
    assert_eq!(absent["error"]["code"], "WH0104");
    assert!(
        absent["error"]["place"]
            .as_str()
            .is_some_and(|place| place.ends_with("dev.json")),
        "{absent:#}"
    );
}

#[test]
fn a_password_in_an_address_is_never_printed() {
    let place = Place::shop("nats://me:hunter2@127.0.0.1:1");
    for output in ["table", "json"] {
        let run = place.wharf(&["provision", "-o", output]).expect(6);
        assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
        assert!(format!("{run:?}").contains("127.0.0.1:1"), "{run:?}");
    }
}

#[test]
fn a_host_says_what_is_wrong_with_its_files_before_it_starts() {
    let place = Place::shop("nats://127.0.0.1:1");
    let run = place.host("127.0.0.1:0");
    assert_eq!(
        (run.code, run.error_code().as_str()),
        (3, "WH0401"),
        "no component: {run:?}"
    );

    let needy = format!(
        "{}\n[needs.gateway]\ntimeout = \"1s\"\n",
        cli_support::ORDER
    );
    place.write("target/bundles/order/handler.toml", needy);
    let run = place.host("127.0.0.1:0").expect(3);
    assert!(
        ["WH0401", "WH0503"].contains(&run.error_code().as_str()),
        "{run:?}"
    );

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let run = place.host(&address).expect(5);
    assert_eq!(run.error_code(), "WH0501");
    assert!(
        run.json()["error"]["message"]
            .to_string()
            .contains(&address)
    );
}
