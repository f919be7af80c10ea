//! What `sekisho principal` prints.

use serde_json::Value;

/// Credentials as the service shows them once.
pub(super) struct Credentials<'a>(&'a Value);

impl<'a> Credentials<'a> {
    pub(super) fn of_key(answer: &'a Value) -> Self {
        Self(answer.get("AccessKey").unwrap_or(&Value::Null))
    }

    pub(super) fn of_session(answer: &'a Value) -> Self {
        Self(answer.get("Credentials").unwrap_or(&Value::Null))
    }

    /// Prints them as a profile of AWS's shared credentials file.
    pub(super) fn print(&self, profile: &str) {
        print!("{}", self.profile(profile));
    }

    fn profile(&self, profile: &str) -> String {
        let mut lines = format!("[{profile}]\n");
        for (name, member) in [
            ("aws_access_key_id", "AccessKeyId"),
            ("aws_secret_access_key", "SecretAccessKey"),
            ("aws_session_token", "SessionToken"),
        ] {
            if let Some(value) = self.0.get(member).and_then(Value::as_str) {
                lines.push_str(&format!("{name} = {value}\n"));
            }
        }
        lines
    }
}

pub(super) fn print(answer: &Value) {
    println!("{answer:#}");
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credentials_are_a_profile() {
        let key = json!({ "AccessKey": { "AccessKeyId": "AKIA1", "SecretAccessKey": "s" } });
        assert_eq!(
            Credentials::of_key(&key).profile("alice"),
            "[alice]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n"
        );
        let session = json!({ "Credentials": {
            "AccessKeyId": "ASIA1", "SecretAccessKey": "s", "SessionToken": "t"
        } });
        assert!(Credentials::of_session(&session).profile("x").ends_with("session_token = t\n"));
    }
}
