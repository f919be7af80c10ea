//! Dates: the W3C's profile of ISO 8601 (www.w3.org/TR/NOTE-datetime) and seconds since
//! 1970, as AWS takes both. The calendar is the proleptic Gregorian one.

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The most digits of seconds since 1970 that are read: until the year 33658.
const EPOCH_DIGITS: usize = 12;

/// Milliseconds since 1970; `None` if it is not a date.
///
/// Four digits are a year, any other number is seconds since 1970.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    if text.len() != 4 && !unsigned.is_empty() && unsigned.iter().all(u8::is_ascii_digit) {
        let seconds = number(unsigned, 1, EPOCH_DIGITS)?.checked_mul(SECOND)?;
        return Some(if text.len() == unsigned.len() { seconds } else { -seconds });
    }
    let mut rest = Rest(text);
    let year = rest.number(4)?;
    let month = if rest.eat(b'-') { rest.number(2)? } else { return rest.end(day(year, 1, 1)?) };
    let date =
        if rest.eat(b'-') { rest.number(2)? } else { return rest.end(day(year, month, 1)?) };
    let day = day(year, month, date)?;
    if !rest.eat(b'T') {
        return rest.end(day);
    }
    let time = rest.time()?;
    let offset = rest.offset()?;
    rest.end(day.checked_add(time)?.checked_sub(offset)?)
}

/// `2026-01-31T12:00:00Z`, as `aws:CurrentTime` has it. At most 20 characters for the
/// dates that a clock shows.
pub(crate) fn format(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let (days, within) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let mut text = String::with_capacity(20);
    let mut put = |number: i64, width: usize, end: char| {
        let digits = number.to_string();
        (digits.len()..width).for_each(|_| text.push('0'));
        text.push_str(&digits);
        text.push(end);
    };
    put(year, 4, '-');
    put(month, 2, '-');
    put(day, 2, 'T');
    put(within / HOUR, 2, ':');
    put(within % HOUR / MINUTE, 2, ':');
    put(within % MINUTE / SECOND, 2, 'Z');
    text
}

/// What is left of a date's text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number_text, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number(number_text, digits, digits)
    }

    /// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.s…`; what is below a millisecond is left out.
    fn time(&mut self) -> Option<i64> {
        let hour = self.below(24)?;
        let minute = if self.eat(b':') { self.below(60)? } else { return None };
        let mut time = hour * HOUR + minute * MINUTE;
        if self.eat(b':') {
            time += self.below(60)? * SECOND;
            if self.eat(b'.') {
                time += self.fraction()?;
            }
        }
        Some(time)
    }

    fn fraction(&mut self) -> Option<i64> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        let mut hundreds = [b'0'; 3];
        hundreds.iter_mut().zip(digits).for_each(|(place, digit)| *place = *digit);
        (length > 0).then(|| number(&hundreds, 3, 3)).flatten()
    }

    /// `Z`, `+hh:mm`, `-hh:mm`, `+hhmm`, `-hhmm`.
    fn offset(&mut self) -> Option<i64> {
        if self.eat(b'Z') {
            return Some(0);
        }
        let sign = match (self.eat(b'+'), self.eat(b'-')) {
            (true, false) => 1,
            (false, true) => -1,
            _ => return None,
        };
        let hours = self.below(24)?;
        self.eat(b':');
        Some(sign * (hours * HOUR + self.below(60)? * MINUTE))
    }

    fn below(&mut self, bound: i64) -> Option<i64> {
        self.number(2).filter(|number| *number < bound)
    }

    fn end(&self, date: i64) -> Option<i64> {
        self.0.is_empty().then_some(date)
    }
}

fn number(digits: &[u8], least: usize, most: usize) -> Option<i64> {
    let right = (least..=most).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    right.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// When a day starts.
fn day(year: i64, month: i64, day: i64) -> Option<i64> {
    let right = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    right.then(|| days_since_1970(year, month, day) * DAY)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts from March, so that the day that some years have is the last of a year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day: the inverse of [`days_since_1970`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_every_form() {
        for (text, millis) in [
            ("1970", 0),
            ("1970-01", 0),
            ("1970-01-01", 0),
            ("1970-01-01T00:00Z", 0),
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.5Z", 500),
            ("1970-01-01T00:00:00.1239Z", 123),
            ("1970-01-01T01:30:00+01:30", 0),
            ("1969-12-31T19:00:00-05:00", 0),
            ("1969-12-31T19:00:00-0500", 0),
            ("1969-12-31T23:59:59Z", -1000),
            ("2000-02-29", 951_782_400_000),
            ("2026-11-22T10:50:00Z", 1_795_344_600_000),
            ("0000-01-01", -62_167_219_200_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("0", 0),
            ("86400", 86_400_000),
            ("-86400", -86_400_000),
            ("1795344600", 1_795_344_600_000),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "-",
            "1234567890123",
            "1.5",
            "2026-13",
            "2026-00",
            "2026-02-29",
            "2026-04-31",
            "2026-1-1",
            "2026-01-01T",
            "2026-01-01T00:00",
            "2026-01-01T24:00Z",
            "2026-01-01T00:60Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+1",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00Zx",
            "20260101T000000Z",
            "22026-01-01",
            "2026-*",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_formatted_is_parsed() {
        for millis in
            [0, 951_782_400_000, 1_795_344_600_000, 253_402_300_799_000, 4_107_542_399_000]
        {
            let text = format(millis);
            assert_eq!(text.len(), 20, "{text}");
            assert_eq!(parse(text.as_bytes()), i64::try_from(millis).ok(), "{text}");
        }
        assert_eq!(format(1_795_344_600_999), "2026-11-22T10:50:00Z");
        assert!(format(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn each_day_follows_the_one_before() {
        for days in -800_000..800_000 {
            let (year, month, day) = civil(days);
            assert_eq!(days_since_1970(year, month, day), days);
        }
    }
}
