#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test")]
use super::*;
use proptest::prelude::*;

const TTL: u64 = 300;
const AGE: u64 = 60;

fn store(capacity: u32) -> NonceStore {
    NonceStore::new(capacity, TTL, AGE)
}

#[test]
fn a_nonce_counts_once_for_all_uids() {
    let mut store = store(100);
    assert_eq!(store.insert("a", 1, 1000, 1000), Ok(()));
    assert_eq!(store.insert("a", 1, 1000, 1000), Err(Unusable::Replayed));
    assert_eq!(store.insert("a", 2, 1001, 1001), Err(Unusable::Replayed));
    assert_eq!(store.insert("A", 1, 1000, 1000), Ok(()));
    assert_eq!(store.len(), 2);
}

#[test]
fn it_is_kept_for_its_time_after_arrival() {
    let mut store = store(100);
    assert_eq!(store.insert("a", 1, 1000, 1000), Ok(()));
    assert_eq!(store.insert("a", 1, 1299, 1299), Err(Unusable::Replayed));
    assert_eq!(store.insert("a", 1, 1300, 1300), Ok(()));
    assert_eq!(store.len(), 1);
}

#[test]
fn it_outlives_the_request_that_it_guards() {
    let mut store = NonceStore::new(100, 121, AGE);
    assert_eq!(store.insert("a", 1, 1060, 1000), Ok(()));
    assert_eq!(store.insert("a", 1, 1060, 1060 + AGE + 60), Err(Unusable::Replayed));
    assert_eq!(store.insert("a", 1, 1060, 1060 + AGE + 61), Ok(()));
}

#[test]
fn one_uid_has_at_most_half_and_a_live_nonce_is_never_evicted() {
    let mut store = store(10);
    let name = |uid: u32, n: u32| format!("{uid}-{n}");
    for n in 0..5 {
        assert_eq!(store.insert(&name(1, n), 1, 1000, 1000 + u64::from(n)), Ok(()));
    }
    assert_eq!(store.insert(&name(1, 5), 1, 1000, 1005), Err(Unusable::ShareFull(1)));
    for n in 0..4 {
        assert_eq!(store.insert(&name(2, n), 2, 1000, 1005), Ok(()));
    }
    assert_eq!(store.insert(&name(3, 0), 3, 1000, 1005), Ok(()));
    assert_eq!(store.insert(&name(3, 1), 3, 1000, 1005), Err(Unusable::Full(10)));
    for (uid, n) in [(1, 0), (1, 4), (2, 0), (2, 3), (3, 0)] {
        assert_eq!(store.insert(&name(uid, n), 9, 1000, 1005), Err(Unusable::Replayed));
    }
    assert_eq!(store.insert(&name(3, 1), 3, 1300, 1300), Ok(()));
    assert_eq!(store.insert(&name(3, 2), 3, 1300, 1300), Err(Unusable::Full(10)));
}

#[test]
fn a_full_store_of_expired_nonces_takes_new_ones_at_once() {
    let mut store = store(1000);
    for n in 0..1000_u32 {
        assert_eq!(store.insert(&format!("a{n}"), n % 2, 1000, 1000), Ok(()));
    }
    assert_eq!(store.insert("b", 1, 1000, 1000), Err(Unusable::Full(1000)));
    for n in 0..500_u32 {
        assert_eq!(store.insert(&format!("a{n}"), 1, 9000, 9000), Ok(()));
        assert!(store.table.used() <= 1000);
    }
    assert_eq!(store.insert("b", 1, 9000, 9000), Err(Unusable::ShareFull(1)));
    assert_eq!((store.len(), store.table.used()), (500, 500));
}

#[test]
fn an_idle_moment_removes_what_has_expired_and_gives_the_memory_back() {
    let mut store = store(1000);
    (0..100).for_each(|n| store.insert(&n.to_string(), 1, 1000, 1000).unwrap());
    store.insert("later", 1, 1001, 1001).unwrap();
    assert!(!store.expire(1001, 10) && store.len() == 101);
    assert!(store.expire(1300, 60));
    assert_eq!((store.len(), store.table.used()), (1, 41));
    assert!(!store.expire(1300, 41));
    assert!(store.bytes() > 0);
    assert!(!store.expire(1301, 1));
    assert_eq!((store.len(), store.bytes(), store.shares.len(), store.due.len()), (0, 0, 0, 0));
    assert_eq!(store.insert("later", 1, 1301, 1301), Ok(()));
}

#[test]
fn raising_max_age_keeps_each_live_nonce_as_much_longer() {
    let mut store = store(100);
    store.insert("gone", 1, 600, 600).unwrap();
    store.insert("a", 1, 1000, 1000).unwrap();
    store.configure(1000, 600, 1010);
    assert_eq!(store.insert("gone", 1, 1010, 1010), Ok(()));
    // The request of 1000 is fresh until 1600 now; its nonce would have gone at 1300.
    assert_eq!(store.insert("a", 1, 1000, 1600), Err(Unusable::Replayed));
    assert_eq!(store.insert("a", 1, 1839, 1839), Err(Unusable::Replayed));
    assert_eq!(store.insert("a", 1, 1840, 1840), Ok(()));
    // What came after the reload is kept for its own time.
    assert_eq!(store.insert("gone", 1, 2009, 2009), Err(Unusable::Replayed));
    assert_eq!(store.insert("gone", 1, 2010, 2010), Ok(()));
}

#[test]
fn lowering_lifetimes_keeps_what_is_there() {
    let mut store = store(100);
    store.insert("a", 1, 1000, 1000).unwrap();
    store.configure(100, 10, 1000);
    store.insert("b", 1, 1000, 1000).unwrap();
    assert_eq!(store.insert("b", 1, 1100, 1100), Ok(()));
    assert_eq!(store.insert("a", 1, 1299, 1299), Err(Unusable::Replayed));
}

#[test]
fn extremes_do_not_wrap() {
    let mut store = NonceStore::new(100, u64::MAX, u64::MAX);
    store.insert("a", 1, u64::MAX, 5).unwrap();
    assert_eq!(store.insert("a", 1, 5, 1 << 62), Err(Unusable::Replayed));
    let mut store = NonceStore::new(100, TTL, AGE);
    store.insert("a", 1, 1000, 1000).unwrap();
    store.configure(u64::MAX, u64::MAX, 1000);
    store.insert("b", 1, 1000, 1000).unwrap();
    assert_eq!(store.insert("a", 1, 1000, 1 << 38), Err(Unusable::Replayed));
    assert_eq!(store.insert("b", 1, 1000, 1 << 38), Err(Unusable::Replayed));
    let mut none = NonceStore::new(1, TTL, AGE);
    assert_eq!(none.insert("a", 1, 0, 0), Err(Unusable::ShareFull(1)));
}

#[test]
fn a_live_nonce_takes_36_bytes() {
    let mut store = store(CAPACITY);
    (0..100_000_u64).for_each(|n| store.insert(&format!("nonce-{n}"), 1, 1000, 1000 + n / 1000).unwrap());
    let each = store.bytes() as f64 / 100_000.0;
    assert!((36.0..38.0).contains(&each), "{each}");
}

#[derive(Clone, Debug)]
enum Step {
    Insert { nonce: u8, uid: u32, ahead: u64 },
    Wait(u64),
    Expire(u32),
    Configure { ttl: u64, age: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u8..24, 0_u32..3, 0_u64..120).prop_map(|(nonce, uid, ahead)| Step::Insert { nonce, uid, ahead }),
        3 => (0_u64..90).prop_map(Step::Wait),
        1 => (0_u32..8).prop_map(Step::Expire),
        1 => (1_u64..200, 1_u64..100).prop_map(|(ttl, age)| Step::Configure { ttl, age }),
    ]
}

proptest! {
    #[test]
    fn it_does_what_a_plain_list_would_do(capacity in 2_u32..20, steps in prop::collection::vec(step(), 0..300)) {
        let mut store = NonceStore::new(capacity, 100, 30);
        let (mut now, mut ttl, mut age) = (1000, 100, 30);
        let mut live: Vec<(u8, u32, u64)> = Vec::new();
        for step in steps {
            live.retain(|(.., expires)| *expires > now);
            match step {
                Step::Insert { nonce, uid, ahead } => {
                    let timestamp = now + ahead - 60;
                    let of_uid = live.iter().filter(|(_, owner, _)| *owner == uid).count();
                    let expected = if live.iter().any(|(known, ..)| *known == nonce) {
                        Err(Unusable::Replayed)
                    } else if live.len() >= capacity as usize {
                        Err(Unusable::Full(capacity))
                    } else if of_uid >= capacity as usize / 2 {
                        Err(Unusable::ShareFull(uid))
                    } else {
                        live.push((nonce, uid, (now + ttl).max(timestamp + age + 61)));
                        Ok(())
                    };
                    prop_assert_eq!(store.insert(&nonce.to_string(), uid, timestamp, now), expected);
                    prop_assert_eq!(store.len() as usize, live.len());
                }
                Step::Wait(seconds) => now += seconds,
                Step::Expire(at_most) => {
                    store.expire(now, at_most);
                    prop_assert_eq!(store.len() as usize, live.len());
                }
                Step::Configure { ttl: new_ttl, age: new_age } => {
                    store.configure(new_ttl, new_age, now);
                    live.iter_mut().for_each(|(.., expires)| *expires += new_age.saturating_sub(age));
                    (ttl, age) = (new_ttl, new_age);
                }
            }
            prop_assert!(store.table.used() <= capacity);
        }
    }
}
