//! What templates print, and how they fail.

use serde_json::json;

use super::*;

fn row() -> Row {
    Row {
        fields: json!({
            "Names": "web",
            "State": {"Running": true, "Pid": 42, "Error": ""},
            "NetworkSettings": {"Networks": {
                "mynet": {"IPAddress": "10.10.0.2"},
                "another": {"IPAddress": "10.20.0.2"},
            }},
            "Args": ["a", "b"],
            "Labels": "k=v",
            "Config": {"Labels": {"k": "v"}},
            "Ports": {"80/tcp": [{"HostPort": "8080"}]},
            "Mounts": [],
            "Entrypoint": null,
        }),
        labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
    }
}

fn render(template: &str) -> Result<String, TemplateError> {
    Template::parse(template)?.render(&row())
}

const PRINTED: &[(&str, &str)] = &[
    ("plain", "plain"),
    ("{{.Names}}", "web"),
    ("{{ .Names }}!", "web!"),
    ("{{.State.Running}}", "true"),
    ("{{.State.Pid}}", "42"),
    (r"{{.Names}}\t{{.State.Pid}}\n", "web\t42\n"),
    ("{{json .State}}", r#"{"Running":true,"Pid":42,"Error":""}"#),
    ("{{json .Names}}", r#""web""#),
    (
        "{{.State | json}}",
        r#"{"Running":true,"Pid":42,"Error":""}"#,
    ),
    ("{{.NetworkSettings.Networks.mynet.IPAddress}}", "10.10.0.2"),
    (
        "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}",
        "10.20.0.2 10.10.0.2 ",
    ),
    (
        "{{range $name, $net := .NetworkSettings.Networks}}{{$name}}={{$net.IPAddress}};{{end}}",
        "another=10.20.0.2;mynet=10.10.0.2;",
    ),
    (
        "{{range $i, $a := .Args}}{{if $i}},{{end}}{{$a}}{{end}}",
        "a,b",
    ),
    ("{{range .Mounts}}x{{else}}none{{end}}", "none"),
    ("{{range .Entrypoint}}x{{end}}", ""),
    ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
    (
        "{{if .State.Error}}bad{{else if .Mounts}}mounts{{else}}fine{{end}}",
        "fine",
    ),
    ("{{if not .State.Error}}fine{{end}}", "fine"),
    (
        "{{if and .State.Running (eq .Names \"web\")}}yes{{end}}",
        "yes",
    ),
    ("{{if or .Mounts .State.Error}}yes{{else}}no{{end}}", "no"),
    ("{{if gt .State.Pid 41}}more{{end}}", "more"),
    ("{{with .State}}{{.Pid}} {{$.Names}}{{end}}", "42 web"),
    ("{{with .State.Error}}x{{else}}{{.Names}}{{end}}", "web"),
    ("{{$x := .Names}}{{$x}}{{$x}}", "webweb"),
    ("{{$x := 1}}{{range .Args}}{{$x = .}}{{end}}{{$x}}", "b"),
    (r#"{{index .Ports "80/tcp"}}"#, "[map[HostPort:8080]]"),
    (r#"{{(index (index .Ports "80/tcp") 0).HostPort}}"#, "8080"),
    (r#"{{index .State "None"}}"#, ""),
    ("{{index .Args 1}}", "b"),
    ("{{len .Args}} {{len .Names}} {{len .Ports}}", "2 3 1"),
    (r#"{{join .Args ","}}"#, "a,b"),
    (r#"{{join .Args "\n"}}"#, "a\nb"),
    ("{{.Args}} {{.Entrypoint}}", "[a b] <nil>"),
    (
        "{{upper .Names}} {{.Names | title}} {{lower \"AB\"}}",
        "WEB Web ab",
    ),
    (r#"{{split "a:b" ":"}}"#, "[a b]"),
    ("{{truncate .Names 2}}{{pad \"x\" 1 2}}|", "we x  |"),
    ("{{slice .Names 0 2}}", "we"),
    (r#"{{printf "%-5s|%03d" .Names .State.Pid}}"#, "web  |042"),
    ("{{println .Names 1}}", "web 1\n"),
    ("{{print 1 2 \"a\" \"b\" 3}}", "1 2ab3"),
    (r#"{{.Label "k"}}{{.Label "none"}}"#, "v"),
    ("{{.Label `k`}}", "v"),
    ("a {{- .Names -}} b", "awebb"),
    ("a{{/* nothing */}}b", "ab"),
    ("{{\"{{\"}}", "{{"),
    ("{{true}} {{1.5}} {{-3}}", "true 1.5 -3"),
    // What users name may be missing.
    ("{{.NetworkSettings.Networks.none}}", "<no value>"),
    ("{{.NetworkSettings.Networks.none.IPAddress}}", "<no value>"),
    (
        "{{if .Config.Labels.none}}x{{end}}{{.Config.Labels.k}}",
        "v",
    ),
];

#[test]
fn templates_print_what_docker_prints() {
    for (template, expected) in PRINTED {
        assert_eq!(render(template).as_deref(), Ok(*expected), "{template}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    let table = [
        ("{{.Nmaes}}", 3, "no field \"Nmaes\""),
        ("ab {{.State.Foo}}", 12, "no field \"Foo\""),
        ("{{.Names.Foo}}", 9, "text has no field"),
        ("{{.Labels.Foo}}", 10, "text has no field"),
        ("{{.Names", 1, "no \"}}\""),
        ("{{}}", 1, "nothing to print"),
        ("{{.Names |}}", 1, "nothing to print"),
        ("{{if .Names}}x", 1, "\"if\" has no \"end\""),
        ("x{{end}}", 2, "\"end\" has no"),
        ("{{else}}", 1, "\"else\" has no"),
        ("{{range .Names}}{{end}}", 9, "cannot go through text"),
        ("{{Names}}", 3, "no function \"Names\""),
        ("{{$x}}", 3, "$x is not declared"),
        ("{{if $x := 1}}{{end}}{{$x}}", 24, "$x is not declared"),
        ("{{upper 1}}", 3, "a number stands where text"),
        ("{{upper}}", 3, "cannot take 0"),
        ("{{index .Args 7}}", 3, "no 7 in a list of 2"),
        ("{{lt .Names 1}}", 3, "no order"),
        ("{{\"abc}}", 3, "no end"),
        ("{{\"a\\q\"}}", 5, "no escape"),
        ("{{(.Names}}", 3, "no \")\""),
        ("{{.Names)}}", 9, "not expected"),
        ("{{.Names .State}}", 3, "only functions"),
        ("{{1x}}", 3, "no number"),
        ("{{template \"x\"}}", 1, "not supported"),
        ("{{printf \"%d\" .Names}}", 3, "%d does not print text"),
        ("{{.Names ! }}", 10, "not expected"),
    ];
    for (template, at, what) in table {
        let error = render(template).unwrap_err();
        assert!(error.what.contains(what), "{template}: {error}");
        assert_eq!(error.at, at, "{template}: {error}");
    }
    let hint = render("{{.State.Foo}}").unwrap_err().hint().unwrap();
    assert_eq!(hint, "there are Running, Pid, Error");
}

const COLUMNS: [Column; 2] = [("CONTAINER", "Names"), ("LABELS", "Labels")];

fn print(format: &str) -> String {
    let rows = [
        Row::from(json!({"Names": "a", "Labels": "", "CreatedAt": "x"})),
        Row::from(json!({"Names": "longer", "Labels": "k=v", "CreatedAt": "y"})),
    ];
    list(&format.parse().unwrap(), &rows, &COLUMNS, &[]).unwrap()
}

#[test]
fn lists_are_tables_lines_of_json_or_templates() {
    assert_eq!(print("table"), "CONTAINER   LABELS\na\nlonger      k=v\n");
    assert_eq!(
        print(r"table {{.CreatedAt}}\t{{.Names}}"),
        "CREATED AT   CONTAINER\nx            a\ny            longer\n"
    );
    assert_eq!(print("{{.Names}}"), "a\nlonger\n");
    let json = print("json");
    assert_eq!(json.lines().count(), 2);
    assert_eq!(
        json.lines().next(),
        Some(r#"{"Names":"a","Labels":"","CreatedAt":"x"}"#)
    );
}

#[test]
fn an_empty_list_is_a_header_without_lines() {
    let print = |format: &str| list(&format.parse().unwrap(), &[], &COLUMNS, &[]).unwrap();
    assert_eq!(print("table"), "CONTAINER   LABELS\n");
    assert_eq!(print("table {{.Names}}"), "CONTAINER\n");
    assert_eq!(print("json"), "");
    assert_eq!(print("{{.Names}}"), "");
}

#[test]
fn documents_are_one_json_list_or_a_template_each() {
    let one = [json!({"Id": "web"})];
    let print = |format: Option<&str>| {
        let format: Option<Format> = format.map(|text| text.parse().unwrap());
        documents(format.as_ref(), &one).unwrap()
    };
    assert_eq!(print(None), "[\n  {\n    \"Id\": \"web\"\n  }\n]\n");
    assert_eq!(print(Some("json")), "[{\"Id\":\"web\"}]\n");
    assert_eq!(print(Some("{{.Id}}")), "web\n");
}

#[test]
fn the_place_of_a_mistake_counts_from_the_words_beginning() {
    let error = "table {{.Names".parse::<Format>().unwrap_err();
    assert_eq!(error.at, 7);
}
