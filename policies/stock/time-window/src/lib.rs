//! Stock policy `time-window`: operations at their hours alone.
//!
//! ```json
//! { "actions": ["kms:Sign"], "days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "from": "08:00", "to": "18:00" }
//! ```
//!
//! A guardrail: outside the window it denies the actions, and has no opinion otherwise. Times are UTC by
//! the service's clock; `to` is the first minute that is outside, `24:00` the end of the day. A window
//! does not go over midnight: that is two guardrails' work, or a policy of one's own. `"*"` is every
//! action, also that of putting another guardrail.

use sekisho_policy::json::{self, Cursor};
use sekisho_policy::state::{Reader, Writer};
use sekisho_policy::{Answer, ConfigurationError, Policy, Request, deny, no_opinion};

/// From Thursday, as 1970 began.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MINUTES_OF_DAY: u64 = 24 * 60;

/// The policy.
#[derive(Debug)]
pub struct TimeWindow;

sekisho_policy::export!(TimeWindow);

impl Policy for TimeWindow {
    type State = Vec<u8>;

    fn configure(configuration: &[u8]) -> Result<Vec<u8>, ConfigurationError> {
        json::with(configuration, |root| {
            let (mut actions, mut days, mut from, mut to) = (None, None, None, None);
            for (member, value) in root.object()? {
                match member {
                    "actions" => actions = Some(names(&value)?),
                    "days" => days = Some(read_days(&value)?),
                    "from" => from = Some(read_minute(&value)?),
                    "to" => to = Some(read_minute(&value)?),
                    _ => return Err(value.error("is not a member of the configuration")),
                }
            }
            let missing = |name: &str| root.error(["`", name, "` is missing"].concat());
            let (from, to) =
                (from.ok_or_else(|| missing("from"))?, to.ok_or_else(|| missing("to"))?);
            if from >= to {
                return Err(root.error("`from` is not before `to`"));
            }
            let mut writer = Writer::new();
            writer.byte(days.ok_or_else(|| missing("days"))?);
            writer.number(from);
            writer.number(to);
            actions.ok_or_else(|| missing("actions"))?.iter().for_each(|name| writer.string(name));
            Ok(writer.finish())
        })
    }

    fn evaluate(state: &Vec<u8>, request: &Request) -> Answer {
        decide(Reader::new(state), request)
            .unwrap_or_else(|| deny("the policy cannot read its own state"))
    }
}

fn decide(mut state: Reader<'_>, request: &Request) -> Option<Answer> {
    let (days, from, to) = (state.byte()?, state.number()?, state.number()?);
    let minute = request.time / 60_000;
    let day = minute / MINUTES_OF_DAY % 7;
    let of_day = usize::try_from(minute % MINUTES_OF_DAY).ok()?;
    let inside = days >> day & 1 == 1 && (from..to).contains(&of_day);
    while !state.is_empty() {
        let action = state.bytes()?;
        if !inside && (action == b"*" || action == request.action.as_bytes()) {
            return Some(deny("outside the hours of this operation"));
        }
    }
    Some(no_opinion())
}

fn names(at: &Cursor<'_>) -> Result<Vec<String>, ConfigurationError> {
    let elements = at.array()?;
    let names = elements.iter().map(|name| Ok(name.string()?.to_owned()));
    let names = names.collect::<Result<Vec<String>, ConfigurationError>>()?;
    match names.is_empty() {
        true => Err(at.error("at least one action is needed")),
        false => Ok(names),
    }
}

/// A bit for each of [`DAYS`].
fn read_days(at: &Cursor<'_>) -> Result<u8, ConfigurationError> {
    let mut days = 0;
    for element in at.array()? {
        let day = element.string()?;
        let index = DAYS.iter().position(|known| *known == day);
        days |= 1 << index.ok_or_else(|| element.error("is none of Mon to Sun"))?;
    }
    match days {
        0 => Err(at.error("at least one day is needed")),
        days => Ok(days),
    }
}

/// `HH:MM` as minutes of the day.
fn read_minute(at: &Cursor<'_>) -> Result<usize, ConfigurationError> {
    let wrong = || at.error("is not a time such as 08:00, at most 24:00");
    let (hours, minutes) = at.string()?.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| match text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse::<usize>().map_err(|_| wrong()),
        false => Err(wrong()),
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let time = hours * 60 + minutes;
    match minutes < 60 && time <= 24 * 60 {
        true => Ok(time),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_policy::{Decision, Principal};

    const HOURS: &str =
        r#"{"actions":["kms:Sign"],"days":["Mon","Fri"],"from":"08:00","to":"18:00"}"#;
    /// Monday 2026-11-23 00:00 UTC.
    const MONDAY: u64 = 1_795_392_000_000;
    const MINUTE: u64 = 60_000;

    fn ask(action: &str, time: u64) -> Decision {
        let principal = Principal { arn: String::new(), account: String::new(), tags: vec![] };
        let request = Request {
            action: action.into(),
            resource: "*".into(),
            principal,
            key: None,
            encryption_context: vec![],
            parameters: vec![],
            attestation: None,
            grants: vec![],
            time,
            source_ip: None,
        };
        let state = TimeWindow::configure(HOURS.as_bytes()).unwrap();
        TimeWindow::evaluate(&state, &request).decision
    }

    #[test]
    fn the_window_has_days_and_hours() {
        let day = 24 * 60 * MINUTE;
        for (time, inside) in [
            (MONDAY + 480 * MINUTE, true),
            (MONDAY + 480 * MINUTE - 1, false),
            (MONDAY + 1080 * MINUTE - 1, true),
            (MONDAY + 1080 * MINUTE, false),
            (MONDAY + day + 600 * MINUTE, false),
            (MONDAY + 4 * day + 600 * MINUTE, true),
            (MONDAY - day + 600 * MINUTE, false),
        ] {
            let denied = matches!(ask("kms:Sign", time), Decision::Deny(_));
            assert_eq!(denied, !inside, "{time}");
            assert_eq!(ask("kms:Verify", time), Decision::NoOpinion);
        }
    }

    #[test]
    fn a_wrong_configuration_is_refused_at_its_place() {
        for (from, to, place) in [
            ("Mon", "Monday", "days[0]"),
            ("08:00", "8:00", "from"),
            ("18:00", "24:01", "to"),
            ("18:00", "08:00", ""),
            ("kms:Sign\"]", "kms:Sign\"],\"x\":1", "x"),
        ] {
            let wrong = HOURS.replace(from, to);
            let error = TimeWindow::configure(wrong.as_bytes()).unwrap_err();
            assert_eq!(error.place, place, "{}", error.reason);
        }
    }
}
