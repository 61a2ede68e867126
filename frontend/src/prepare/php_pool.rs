//! `php-fpm/pool.conf.tera`: the processes that run a site's PHP.
use super::Shipped;
use super::context::{Fields, context, text};
use super::engine;
use super::error::Error;
use super::grammar::{MemoryLimit, PmType, PoolName, Processes, Requests, Seconds, SocketPath, SystemName, UploadSize};
use super::lists::{Folders, Functions};
use reeve_shared::PhpVersion;
use reeve_shared::command::{Context, Value};
use serde::Serialize;
use std::collections::BTreeMap;

/// A pool.
pub(super) const POOL: Shipped = Shipped {
    name: NAME,
    source: include_str!("../../../templates/php-fpm/pool.conf.tera"),
    keys: &[Given::KEYS],
    context: pool,
};
const NAME: &str = "php-fpm/pool.conf.tera";

context! {
    /// What a client gives.
    Given {
        required {
            pool_name: PoolName,
            system_user: SystemName,
            socket_path: SocketPath,
        }
        default {
            pm_type: PmType = text("dynamic"),
            pm_max_requests: Requests = Value::Unsigned(500),
            disabled_functions: Functions = text("exec,passthru,shell_exec,system,proc_open,popen"),
        }
        optional {
            #[serde(skip)]
            system_group: SystemName,
            php_version: PhpVersion,
            #[serde(skip)]
            pm_min_spare_servers: Processes,
            #[serde(skip)]
            pm_start_servers: Processes,
            #[serde(skip)]
            pm_max_spare_servers: Processes,
            #[serde(skip)]
            pm_max_children: Processes,
            #[serde(skip)]
            request_timeout: Seconds,
            #[serde(skip)]
            slowlog_timeout: Seconds,
            memory_limit: MemoryLimit,
            upload_max_filesize: UploadSize,
            open_basedir: Folders,
        }
    }
}

/// What the template gets: that, and what follows from it.
#[derive(Serialize)]
struct Pool<'a> {
    #[serde(flatten)]
    given: &'a Given,
    system_group: &'a SystemName,
    post_max_size: Option<String>,
    #[serde(flatten)]
    processes: BTreeMap<&'static str, u64>,
    request_timeout: u64,
    slowlog_timeout: u64,
}

fn pool(context: &Context) -> Result<minijinja::Value, Error> {
    let given = Given::read(&Fields::new(NAME, POOL.keys, context)?)?;
    // Each with its default, in the order in which they must not fall.
    let processes = fit([
        ("pm_min_spare_servers", given.pm_min_spare_servers, 1),
        ("pm_start_servers", given.pm_start_servers, 2),
        ("pm_max_spare_servers", given.pm_max_spare_servers, 3),
        ("pm_max_children", given.pm_max_children, 5),
    ])?;
    let (request_timeout, slowlog_timeout) = time_limits(given.request_timeout, given.slowlog_timeout)?;
    Ok(engine::value(Pool {
        system_group: given.system_group.as_ref().unwrap_or(&given.system_user),
        post_max_size: given.upload_max_filesize.as_ref().map(UploadSize::post_max_size),
        processes: processes.into_iter().collect(),
        request_timeout,
        slowlog_timeout,
        given: &given,
    }))
}

/// After how many seconds a request is ended, and after how many it is written to the slow log; 0 is never. php-fpm refuses a
/// slow log that comes after the end. What is not given is fitted to what is.
fn time_limits(end: Option<Seconds>, slow: Option<Seconds>) -> Result<(u64, u64), Error> {
    match (end.map(Seconds::get), slow.map(Seconds::get)) {
        (None, slow) => Ok((slow.unwrap_or(0).max(300), slow.unwrap_or(5))),
        (Some(0), slow) => Ok((0, slow.unwrap_or(5))),
        (Some(end), None) => Ok((end, end.min(5))),
        (Some(end), Some(slow)) if slow <= end => Ok((end, slow)),
        (Some(end), Some(slow)) => Err(Error::Contradiction {
            template: NAME,
            reason: format!(
                "slowlog_timeout is {slow} and request_timeout is {end}; needed is slowlog_timeout <= request_timeout"
            ),
        }),
    }
}

/// Numbers that don't fall from one to the next, as php-fpm wants them: those given as they are, the others their defaults as
/// far as those around them allow.
fn fit<const N: usize>(rows: [(&'static str, Option<Processes>, u64); N]) -> Result<[(&'static str, u64); N], Error> {
    let given = rows.map(|(key, number, _)| (key, number.map(Processes::get)));
    let (mut place, mut lowest) = (0_usize, ("", 0));
    let mut fitted = rows.map(|(key, _, default)| (key, default));
    for ((key, number), slot) in given.iter().zip(&mut fitted) {
        place = place.saturating_add(1);
        if let Some(number) = *number {
            if number < lowest.1 {
                return Err(Error::Contradiction {
                    template: NAME,
                    reason: format!(
                        "{key} is {number} and {} is {}; needed is {}",
                        lowest.0,
                        lowest.1,
                        rows.map(|(key, ..)| key).join(" <= ")
                    ),
                });
            }
            lowest = (key, number);
            slot.1 = number;
        } else {
            let highest = given.iter().skip(place).find_map(|(_, number)| *number).unwrap_or(u64::MAX);
            slot.1 = slot.1.min(highest).max(lowest.1);
        }
    }
    Ok(fitted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::grammar::Grammar;

    fn fitted(given: [Option<u64>; 4]) -> Result<[u64; 4], Error> {
        let number = |number: Option<u64>| number.and_then(|number| Processes::read(&Value::Unsigned(number)));
        let [min, start, max, children] = given.map(number);
        fit([("min", min, 1), ("start", start, 2), ("max", max, 3), ("children", children, 5)])
            .map(|rows| rows.map(|(_, number)| number))
    }

    #[test]
    fn what_is_not_given_is_fitted_to_what_is() {
        for (given, expected) in [
            ([None, None, None, None], [1, 2, 3, 5]),
            ([None, None, None, Some(1)], [1, 1, 1, 1]),
            ([None, None, None, Some(2)], [1, 2, 2, 2]),
            ([Some(10), None, None, None], [10, 10, 10, 10]),
            ([None, Some(4), None, None], [1, 4, 4, 5]),
            ([None, None, Some(1), Some(50)], [1, 1, 1, 50]),
            ([Some(2), None, None, Some(2)], [2, 2, 2, 2]),
            ([Some(1), Some(1), Some(1), Some(1)], [1, 1, 1, 1]),
        ] {
            assert_eq!(fitted(given).unwrap(), expected, "{given:?}");
        }
    }

    #[test]
    fn a_request_is_slow_before_it_is_ended() {
        let limits = |end: Option<u64>, slow: Option<u64>| {
            let seconds = |number: Option<u64>| number.and_then(|number| Seconds::read(&Value::Unsigned(number)));
            time_limits(seconds(end), seconds(slow))
        };
        for (end, slow, expected) in [
            (None, None, (300, 5)),
            (Some(2), None, (2, 2)),
            (None, Some(600), (600, 600)),
            (None, Some(0), (300, 0)),
            (Some(0), Some(600), (0, 600)),
            (Some(0), None, (0, 5)),
            (Some(60), Some(60), (60, 60)),
        ] {
            assert_eq!(limits(end, slow).unwrap(), expected);
        }
        assert!(matches!(limits(Some(59), Some(60)), Err(Error::Contradiction { .. })));
    }

    #[test]
    fn a_contradiction_names_both() {
        for given in [
            [Some(2), Some(1), None, None],
            [Some(6), None, None, Some(5)],
            [None, Some(4), Some(3), None],
            [None, None, Some(6), Some(5)],
        ] {
            assert!(matches!(fitted(given), Err(Error::Contradiction { .. })), "{given:?}");
        }
        let text = fitted([Some(6), None, None, Some(5)]).unwrap_err().to_string();
        assert!(text.contains("children is 5 and min is 6; needed is min <= start <= max <= children"), "{text}");
    }
}
