use super::*;

fn context(text: &str) -> Result<Settings, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shop.json");
    std::fs::write(&file, text).expect("a file");
    Settings::from_context_file("wharf", &file)
}

#[test]
fn a_context_as_the_command_line_writes_it_is_read_whole() {
    let text = r#"{"description":"","url":"nats://a:4222, nats://b:4222","socks_proxy":"",
        "token":"","user":"u","password":"p","creds":"","nkey":"","cert":"/c.pem","key":"/k.pem",
        "ca":"/ca.pem","nsc":"","jetstream_domain":"","inbox_prefix":"_INBOX_w","tls_first":true}"#;
    let settings = context(text).expect("valid");
    assert_eq!(settings.servers, ["nats://a:4222", "nats://b:4222"]);
    assert_eq!(
        settings.auth,
        Auth::User {
            user: "u".into(),
            password: "p".into()
        }
    );
    assert_eq!(settings.inbox_prefix.as_deref(), Some("_INBOX_w"));
    assert_eq!(settings.tls.ca.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(
        settings.tls.certificate,
        Some(("/c.pem".into(), "/k.pem".into()))
    );
    assert!(settings.tls.first);
}

#[test]
fn each_way_to_be_let_in_is_read() {
    let cases = [
        (r#"{"url":"nats://a"}"#, Auth::None),
        (
            r#"{"url":"nats://a","creds":"/u.creds"}"#,
            Auth::Credentials("/u.creds".into()),
        ),
        (r#"{"url":"nats://a","token":"t"}"#, Auth::Token("t".into())),
        (
            r#"{"url":"nats://a","nkey":"/u.nk"}"#,
            Auth::Nkey("/u.nk".into()),
        ),
    ];
    for (text, auth) in cases {
        assert_eq!(context(text).expect(text).auth, auth, "{text}");
    }
}

#[test]
fn what_would_have_no_effect_is_an_error_that_names_file_and_key() {
    let error = context(r#"{"url":"nats://a","jetstream_domain":"hub"}"#).expect_err("refused");
    let text = error.to_string();
    assert!(
        text.contains("shop.json") && text.contains("jetstream_domain"),
        "{text}"
    );
    assert!(error.is_in_settings());
}

#[test]
fn errors_name_the_file() {
    let cases = ["{", "{}", r#"{"url":"nats://a","cert":"/c.pem"}"#];
    for text in cases {
        let error = context(text).expect_err(text).to_string();
        assert!(error.contains("shop.json"), "{error}");
    }
    let both = context(r#"{"url":"nats://a","token":"t","user":"u"}"#).expect_err("two ways");
    assert!(both.to_string().contains("only one of"), "{both}");
    let missing = Settings::from_context("wharf", "no-such-context").expect_err("missing");
    assert!(
        missing.to_string().contains("no-such-context.json"),
        "{missing}"
    );
    assert!(Settings::from_context("wharf", "../x").is_err());
}

#[test]
fn secrets_are_not_printed() {
    let mut settings = Settings::new("wharf", "nats://user:secret@host:4222");
    assert_eq!(settings.servers_shown(), "nats://host:4222");
    settings.auth = Auth::User {
        user: "u".into(),
        password: "secret".into(),
    };
    assert!(!format!("{:?}", settings.auth).contains("secret"));
    assert!(!format!("{:?}", Auth::Token("secret".into())).contains("secret"));
}

#[test]
fn an_address_may_hold_a_user_or_a_token() {
    let auth = |url: &str| Auth::in_addresses(&["nats://plain:1".to_owned(), url.to_owned()]);
    let user = |user: &str, password: &str| Auth::User {
        user: user.into(),
        password: password.into(),
    };
    assert_eq!(auth("nats://me:p%40ss@host:4222"), user("me", "p@ss"));
    assert_eq!(auth("nats://t0ken@host:4222"), Auth::Token("t0ken".into()));
    assert_eq!(auth("nats://host:4222"), Auth::None);
}
