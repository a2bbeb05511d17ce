use super::*;

fn read_with(pairs: &[(&str, &str)]) -> Result<Option<Config>, Vec<Problem>> {
    read(|name| {
        let found = pairs.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn on(pairs: &[(&str, &str)]) -> Config {
    let wanted = [("OTEL_TRACES_EXPORTER", "otlp")];
    read_with(&[&wanted, pairs].concat())
        .expect("no problems")
        .expect("wanted")
}

fn endpoint_of(pairs: &[(&str, &str)]) -> String {
    on(pairs).endpoint.to_string()
}

/// The variable of the only problem.
fn problem(pairs: &[(&str, &str)]) -> Problem {
    let wanted = [("OTEL_TRACES_EXPORTER", "otlp")];
    let problems = read_with(&[&wanted, pairs].concat()).expect_err("must be refused");
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].clone()
}

#[test]
fn without_a_word_about_traces_there_are_none() {
    assert_eq!(read_with(&[]), Ok(None));
    assert_eq!(read_with(&[("OTEL_SERVICE_NAME", "shop")]), Ok(None));
    assert_eq!(read_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(None));
}

#[test]
fn an_endpoint_or_an_exporter_switches_them_on_and_two_words_off_again() {
    let place = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
    assert!(read_with(&[place]).is_ok_and(|config| config.is_some()));
    let place = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/x");
    assert!(read_with(&[place]).is_ok_and(|config| config.is_some()));
    for off in [
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        assert_eq!(read_with(&[place, off]), Ok(None), "{off:?}");
    }
}

#[test]
fn defaults_are_the_specifications_with_room_for_more_spans() {
    let config = on(&[]);
    assert_eq!(config.endpoint, "http://localhost:4318/v1/traces");
    assert_eq!(config.timeout, Duration::from_secs(10));
    assert_eq!(config.sampler, Sampler::parent_based(1.0));
    assert_eq!(config.resource["service.name"], "wharf");
    assert_eq!(config.headers, BTreeMap::new());
    let batches = Batches {
        waiting_max: 16_384,
        batch_max: 2_048,
        delay: Duration::from_secs(5),
        export_timeout: Duration::from_secs(30),
    };
    assert_eq!(config.batches, batches);
}

#[test]
fn the_signals_own_endpoint_is_taken_as_it_is_and_the_general_one_gets_the_path() {
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318/base/");
    assert_eq!(endpoint_of(&[general]), "https://c:4318/base/v1/traces");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/in");
    assert_eq!(endpoint_of(&[general, own]), "http://c:4318/in");
}

#[test]
fn the_signals_own_headers_and_time_out_go_first() {
    let config = on(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=x%20y, b = 2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
    ]);
    let expected = [("api-key", "x y"), ("b", "2")];
    let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(config.headers, BTreeMap::from(expected));
    assert_eq!(config.timeout, Duration::from_millis(250));
}

#[test]
fn every_sampler_of_the_specification_is_known() {
    for (name, sampler) in [
        ("always_on", Sampler::ratio(1.0)),
        ("always_off", Sampler::ratio(0.0)),
        ("traceidratio", Sampler::ratio(0.25)),
        ("parentbased_always_on", Sampler::parent_based(1.0)),
        ("parentbased_always_off", Sampler::parent_based(0.0)),
        ("parentbased_traceidratio", Sampler::parent_based(0.25)),
    ] {
        let pairs = [
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ];
        assert_eq!(on(&pairs).sampler, sampler, "{name}");
    }
}

#[test]
fn the_name_of_the_service_goes_before_the_attributes() {
    let attributes = (
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.name=a,k8s.pod.name=p%2C1",
    );
    let config = on(&[attributes]);
    assert_eq!(config.resource["service.name"], "a");
    assert_eq!(config.resource["k8s.pod.name"], "p,1");
    let config = on(&[attributes, ("OTEL_SERVICE_NAME", "shop")]);
    assert_eq!(config.resource["service.name"], "shop");
}

#[test]
fn what_does_not_parse_is_refused_by_the_name_of_its_variable() {
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@c:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://c/"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "25"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=x"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_BSP_EXPORT_TIMEOUT", ""),
    ] {
        if value.is_empty() {
            assert_eq!(on(&[(name, value)]), on(&[]), "{name} empty is not set");
            continue;
        }
        let found = problem(&[(name, value)]);
        assert_eq!(found.variable, name, "{value}");
        assert!(!found.to_string().contains("secret"), "{found}");
    }
    let exporter = read_with(&[("OTEL_TRACES_EXPORTER", "zipkin")]).expect_err("refused");
    assert_eq!(exporter[0].variable, "OTEL_TRACES_EXPORTER");
}

#[test]
fn a_batch_is_never_larger_than_what_may_wait() {
    assert_eq!(
        on(&[("OTEL_BSP_MAX_QUEUE_SIZE", "100")]).batches.batch_max,
        100
    );
    let found = problem(&[
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "101"),
    ]);
    assert_eq!(found.variable, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE");
}

#[test]
fn all_problems_are_told_at_once() {
    let problems = read_with(&[
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
    ])
    .expect_err("refused");
    assert_eq!(problems.len(), 2, "{problems:?}");
}
