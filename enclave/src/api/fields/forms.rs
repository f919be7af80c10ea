//! Patterns of AWS's service model that are about the whole of a string.

use crate::configuration::is_region;

/// A pattern, and what it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    /// As it stands in the model, and so in messages.
    pub(crate) text: &'static str,
    pub(super) matches: fn(&str) -> bool,
}

impl Form {
    pub(crate) const CLOUD_HSM_CLUSTER_ID: Self = Self {
        text: "cluster-[2-7a-zA-Z]{11,16}",
        matches: |text| {
            let base32 = |letter: char| letter.is_ascii_alphabetic() || matches!(letter, '2'..='7');
            text.strip_prefix("cluster-")
                .is_some_and(|rest| (11..=16).contains(&rest.len()) && rest.chars().all(base32))
        },
    };

    pub(crate) const GRANT_CONSTRAINT_SOURCE_ARN: Self = Self {
        text: "^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$",
        matches: |text| {
            let mut parts = text.splitn(6, ':');
            let mut part = || parts.next().unwrap_or_default();
            part() == "arn"
                && part().strip_prefix("aws").is_some_and(is_lower)
                && some(part()).is_some_and(is_lower)
                && is_lower(part())
                && is_account(part())
                && some(part()).is_some_and(|rest| !rest.contains(['\n', '\r']))
        },
    };

    pub(crate) const REGION: Self = Self { text: "^([a-z]+-){2,3}\\d+$", matches: is_region };

    pub(crate) const SERVICE_PRINCIPAL: Self = Self {
        text: "^([A-Za-z0-9\\-]+)\\.([A-Za-z0-9\\-]+)(\\.[A-Za-z0-9\\-]+)+$",
        matches: |text| {
            let word = |part: &str| !part.is_empty() && part.chars().all(is_alphanumeric_or_dash);
            text.split('.').count() >= 3 && text.split('.').all(word)
        },
    };

    pub(crate) const XKS_PROXY_URI_ENDPOINT: Self = Self {
        text: "^https://[a-zA-Z0-9.-]+$",
        matches: |text| {
            let host = |letter| is_alphanumeric_or_dash(letter) || letter == '.';
            text.strip_prefix("https://").and_then(some).is_some_and(|rest| rest.chars().all(host))
        },
    };

    pub(crate) const XKS_PROXY_URI_PATH: Self = Self {
        text: "^(/[a-zA-Z0-9\\/_-]+/kms/xks/v\\d{1,2})$|^(/kms/xks/v\\d{1,2})$",
        matches: |text| {
            let Some((prefix, version)) = text.rsplit_once("/kms/xks/v") else { return false };
            let allowed = |letter| is_alphanumeric_or_dash(letter) || "/_".contains(letter);
            let is_prefix = |rest: &str| !rest.is_empty() && rest.chars().all(allowed);
            (1..=2).contains(&version.len())
                && is_digits(version)
                && (prefix.is_empty() || prefix.strip_prefix('/').is_some_and(is_prefix))
        },
    };

    pub(crate) const XKS_PROXY_VPC_ENDPOINT_SERVICE_NAME: Self = Self {
        text: "^(com|eu)\\.amazonaws\\.vpce\\.([a-z]+-){2,3}\\d+\\.vpce-svc-[0-9a-z]+$",
        matches: |text| {
            let rest = text.strip_prefix("com").or_else(|| text.strip_prefix("eu"));
            let rest = rest.and_then(|rest| rest.strip_prefix(".amazonaws.vpce."));
            let parts = rest.and_then(|rest| rest.split_once(".vpce-svc-"));
            let is_id = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
            parts.is_some_and(|(region, id)| {
                is_region(region) && !id.is_empty() && id.chars().all(is_id)
            })
        },
    };

    pub(crate) const ACCOUNT_ID: Self = Self { text: "[0-9]{12}", matches: is_account };
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn is_alphanumeric_or_dash(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '-'
}

fn is_lower(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_digits(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_digit())
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && is_digits(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_those_of_the_service_model() {
        for (form, good, bad) in [
            (Form::ACCOUNT_ID, &["111122223333"][..], &["1", "11112222333a", "1111222233334"][..]),
            (
                Form::CLOUD_HSM_CLUSTER_ID,
                &["cluster-2345672345a", "cluster-ABCDEFGHabcdefgh"],
                &["cluster-1345672345a", "cluster-abc", "2345672345a", "cluster-ABCDEFGHabcdefghi"],
            ),
            (
                Form::GRANT_CONSTRAINT_SOURCE_ARN,
                &["arn:aws:s3:eu-west-1:111122223333:b", "arn:aws-cn:s3::111122223333:b:c"],
                &["arn:aws:s3:::b", "arn:aws::e:111122223333:b", "arn:aws:s3:e:111122223333:", "x"],
            ),
            (
                Form::SERVICE_PRINCIPAL,
                &["kms.amazonaws.com", "a.b.c-d.e"],
                &["kms", "kms.com", "kms..com", ".a.b.c", "a.b.c_d"],
            ),
            (
                Form::XKS_PROXY_URI_ENDPOINT,
                &["https://x.example"],
                &["http://x", "https://", "https://x/"],
            ),
            (
                Form::XKS_PROXY_URI_PATH,
                &["/kms/xks/v1", "/a/b_c/kms/xks/v12"],
                &["/kms/xks/v", "/kms/xks/v123", "a/kms/xks/v1", "//kms/xks/va", "/kms/xks/v1/"],
            ),
            (
                Form::XKS_PROXY_VPC_ENDPOINT_SERVICE_NAME,
                &[
                    "com.amazonaws.vpce.us-east-1.vpce-svc-0a",
                    "eu.amazonaws.vpce.a-b-c-1.vpce-svc-0",
                ],
                &["com.amazonaws.vpce.us-1.vpce-svc-0a", "com.amazonaws.vpce.us-east-1.vpce-svc-"],
            ),
        ] {
            for text in good {
                assert!((form.matches)(text), "{text} is {}", form.text);
            }
            for text in bad {
                assert!(!(form.matches)(text), "{text} is not {}", form.text);
            }
        }
    }
}
