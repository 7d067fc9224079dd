//! Credentials: which entry counts, what helpers are asked, what is written.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn plain(json: &str, registry: &str, repository: &str) -> Option<Credentials> {
    let file: File = serde_json::from_str(json).unwrap();
    file.plain(registry, repository)
}

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("netrun-auth-{}-{name}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    dir.join("config.json")
}

#[test]
fn the_entry_of_the_registry_counts_and_a_more_special_one_before_it() {
    let json = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "bWU6c2Vj cmV0"},
        "quay.io": {"auth": "bWU6czplY3JldA=="},
        "quay.io/team": {"username": "team", "password": "t"},
        "https://ghcr.io": {"username": "a", "password": "b"},
        "azure.io": {"auth": "MDAwOg==", "identitytoken": "it"},
        "token.io": {"registrytoken": "rt"},
        "helped.io": {}
    }, "credsStore": "x"}"#;
    let basic = |user: &str, word: &str| Some(Credentials::password(user, word));
    assert_eq!(plain(json, "quay.io", "a/b"), basic("me", "s:ecret"));
    assert_eq!(plain(json, "quay.io", "team/app"), basic("team", "t"));
    assert_eq!(plain(json, "quay.io", "teams"), basic("me", "s:ecret"));
    assert_eq!(plain(json, "ghcr.io", "a"), basic("a", "b"));
    let token = Credentials::IdentityToken("it".to_owned());
    assert_eq!(plain(json, "azure.io", "a"), Some(token));
    let token = Credentials::RegistryToken("rt".to_owned());
    assert_eq!(plain(json, "token.io", "a"), Some(token));
    for registry in ["helped.io", "other.io"] {
        assert_eq!(plain(json, registry, "a"), Some(Credentials::Anonymous));
    }
    assert_eq!(plain(json, "docker.io", "a"), None, "base64 with a blank");
}

#[test]
fn a_helper_of_the_registrys_own_wins_over_the_store_of_all() {
    let json = r#"{"credsStore": "all", "credHelpers": {"gcr.io": "own", "plain.io": ""}}"#;
    let file: File = serde_json::from_str(json).unwrap();
    assert_eq!(file.helper("gcr.io"), Some("own"));
    assert_eq!(file.helper("docker.io"), Some("all"));
    assert_eq!(file.helper("plain.io"), None);
}

#[test]
fn secrets_are_not_shown() {
    let all = [
        Credentials::password("me", "secret"),
        Credentials::IdentityToken("secret".to_owned()),
        Credentials::RegistryToken("secret".to_owned()),
    ];
    assert!(!format!("{all:?}").contains("secret"));
}

#[tokio::test]
async fn what_is_stored_is_found_by_us_alone_and_the_rest_of_the_file_stays() {
    let path = scratch("stored");
    fs::write(
        &path,
        r#"{"psFormat": "x", "auths": {"a.io": {"auth": "YTpi"}}}"#,
    )
    .unwrap();
    store(&path, "docker.io", "me", "s:ecret").await.unwrap();
    let keyring = Keyring {
        given: None,
        file: Some(path.clone()),
    };
    let found = keyring.find("docker.io", "library/alpine").await.unwrap();
    assert_eq!(found, Credentials::password("me", "s:ecret"));
    let found = keyring.find("a.io", "x").await.unwrap();
    assert_eq!(found, Credentials::password("a", "b"));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(fs::read_to_string(&path).unwrap().contains("psFormat"));
    assert!(erase(&path, "docker.io").await.unwrap());
    assert!(!erase(&path, "docker.io").await.unwrap());
    let found = keyring.find("docker.io", "library/alpine").await.unwrap();
    assert_eq!(found, Credentials::Anonymous);
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn what_the_command_line_gives_wins_and_no_file_is_anonymous() {
    let nowhere = Keyring {
        given: None,
        file: Some(PathBuf::from("/nonexistent/config.json")),
    };
    let found = nowhere.find("docker.io", "a").await.unwrap();
    assert_eq!(found, Credentials::Anonymous);
    let given = Keyring {
        given: Credentials::from_pair("me:a:b"),
        ..nowhere
    };
    let found = given.find("docker.io", "a").await.unwrap();
    assert_eq!(found, Credentials::password("me", "a:b"));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let path = scratch("broken");
    fs::write(&path, "{").unwrap();
    let error = find(&path, "docker.io", "a").await.unwrap_err();
    assert_eq!(error.class(), Class::InvalidInput);
    assert!(error.to_string().contains("config.json"));
    fs::write(&path, r#"{"credsStore": "../x"}"#).unwrap();
    let error = find(&path, "docker.io", "a").await.unwrap_err();
    assert!(matches!(error, CredentialsError::Helper { .. }), "{error}");
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}
