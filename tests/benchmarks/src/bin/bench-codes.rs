//! What judging one code costs a read node: `bench-codes [ROUNDS]`, 200 by default: CPU time, median of interleaved
//! rounds, and instructions, counted by valgrind. Codes of other systems beside yima's own; and what the cache modules
//! save, beside the work without them.
//!
//! `bench-codes once NAME TIMES` does one of them so many times: what valgrind runs.

#[macro_use]
extern crate yima_harness;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use yima_foreign::{AcceptanceRules, Revocations, TrustList};
use yima_harness::samples::{subject, token_keys};
use yima_read_api::Keyring;
use yima_read_api::cache::{OpenedSessions, SignedTokens};
use yima_schema::code::{
    self, Claims, DenialTag, Handle, IssuerKey, IssuerKeys, OpeningKeys, PhoneClaims, PhoneKeyPair, Snapshot, Validity,
};
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::time::Time;
use yima_schema::view::{Version, View};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Codes judged in one round, and by valgrind beyond those of its start.
const TIMES: u32 = 100;
const OWN: &str = "yima, online";
const DECRYPTED: &str = "a session, decrypted";
const SIGNED: &str = "a token, signed";

type Work = Box<dyn Fn()>;
/// By name: with what it is compared, and what prepares it.
type Works = BTreeMap<&'static str, (&'static str, Box<dyn FnOnce() -> Work>)>;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let works = || own().into_iter().chain(foreign()).chain(sessions()).chain(tokens());
    if let [_, name, times] = arguments.as_slice() {
        let (_, (_, make)) = works().find(|(one, _)| one == name).expect("one of the names");
        let work = make();
        (0..times.parse::<u32>().expect("a number")).for_each(|_| work());
        return;
    }
    let works: BTreeMap<_, _> = works().map(|(name, (rival, make))| (name, (rival, make()))).collect();
    let rounds = arguments.first().map_or(200, |rounds| rounds.parse::<usize>().expect("a number"));
    let mut took = BTreeMap::<&str, Vec<Duration>>::new();
    for _ in 0..rounds {
        for (name, (_, work)) in &works {
            let began = cpu_time();
            (0..TIMES).for_each(|_| work());
            took.entry(name).or_default().push((cpu_time() - began) / TIMES);
        }
    }
    let median = |name: &str| {
        let mut took = took[name].clone();
        took.sort_unstable();
        took[took.len() / 2]
    };
    let counts: BTreeMap<_, _> = works.keys().map(|name| (*name, instructions(name))).collect();
    for (name, (rival, _)) in &works {
        let (time, count) = (median(name).as_secs_f64(), counts[name]);
        report!(
            "{name}: {:.2} µs, {count} instructions; {:.2} and {:.2} of `{rival}`",
            time * 1e6,
            time / median(rival).as_secs_f64(),
            count as f64 / counts[rival] as f64,
        );
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a billion"))
}

/// Instructions of judging one code: the difference of two runs.
fn instructions(name: &str) -> u64 {
    let total = |times: u32| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let out = directory.path().join("out");
        let run = Command::new("valgrind")
            .args(["-q", "--tool=callgrind", &format!("--callgrind-out-file={}", out.display())])
            .arg(std::env::current_exe().expect("this program"))
            .args(["once", name, &times.to_string()])
            .status();
        assert!(run.is_ok_and(|status| status.success()), "valgrind runs this program");
        let text = std::fs::read_to_string(out).expect("valgrind has written it");
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
        totals.and_then(|number| number.trim().parse::<u64>().ok()).expect("a number of instructions")
    };
    let difference = |times: u32| total(10 + times).saturating_sub(total(10)) / u64::from(times);
    // What is cheap is lost among the random parts of the start.
    match difference(TIMES) {
        0..50_000 => difference(100 * TIMES),
        count => count,
    }
}

fn issuer() -> IssuerKey {
    IssuerKey::from_pkcs8(&IssuerKey::generate()).expect("just made")
}

fn seal_keys(purpose: &'static str) -> SealKeys {
    SealKeys::new(&[[3; 32]], purpose)
}

/// Claims of a phone's token, and its handle.
fn claims(phone: &PhoneKeyPair, now: Time) -> (Claims, Handle) {
    let validity = Validity::of_batch(now, Duration::from_secs(86_400), 1)[0];
    let claims = Claims {
        issuer: "xian".into(),
        validity,
        phone: Some(PhoneClaims { key: phone.public(), denial_tag: DenialTag([7; 8]) }),
        snapshot: Some(Snapshot::of(&View::default(), now, now, &validity)),
        paper: None,
        guardian: false,
    };
    (claims, Handle { subject: subject(1), version: Version(1), phone: Some(1) })
}

fn own() -> Works {
    let judged = |by_signatures: bool| -> Work {
        let (now, key, phone) = (yima_harness::now(), issuer(), PhoneKeyPair::generate());
        let (issuers, handles, tokens) =
            (IssuerKeys::new(vec![key.verifying_key()]), seal_keys("handle"), token_keys());
        let (claims, handle) = claims(&phone, now);
        let issued = claims.issue(&handle, &key, &handles, &tokens).expect("a key that is here");
        let text = phone.show(&issued.token, &issued.secret, now);
        Box::new(move || {
            let keys = OpeningKeys { handles: &handles, tokens: &tokens, issuers: &issuers };
            let is_good = if by_signatures {
                code::verify(black_box(&text), &issuers, now).is_ok()
            } else {
                code::open(black_box(&text), keys, now, Duration::from_secs(60)).is_ok()
            };
            assert!(is_good);
        })
    };
    BTreeMap::from([
        (OWN, (OWN, Box::new(move || judged(false)) as Box<dyn FnOnce() -> Work>)),
        ("yima, by its signatures", (OWN, Box::new(move || judged(true)))),
    ])
}

fn keyring() -> Keyring {
    let key = issuer();
    let issuers = IssuerKeys::new(vec![key.verifying_key()]);
    Keyring::new(Some(key), issuers, seal_keys("handle"), seal_keys("session"), seal_keys("tls ticket"))
}

/// Opening a session: of a citizen, whose token is the shortest.
fn sessions() -> Works {
    let tokens = |count: u64| {
        let (now, keys) = (yima_harness::now(), seal_keys("session"));
        let seal = |n| {
            let (started_at, expires_at) = (now, now.plus(Duration::from_secs(86_400)));
            Session { id: n, started_at, expires_at, holder: Holder::Citizen { subject: subject(n) } }.seal(&keys)
        };
        (0..count).map(seal).collect::<Vec<_>>()
    };
    let decrypted = move || -> Work {
        let (one, keys) = (tokens(1).remove(0), seal_keys("session"));
        Box::new(move || assert!(Session::open(black_box(&one), &keys).is_ok()))
    };
    let opened = move |bytes, count| -> Work {
        let (module, keyring, tokens, next) = (OpenedSessions::new(bytes), keyring(), tokens(count), Cell::new(0));
        for token in &tokens {
            assert!(module.open(token, &keyring).is_ok());
        }
        Box::new(move || {
            next.set((next.get() + 1) % tokens.len());
            assert!(module.open(black_box(&tokens[next.get()]), &keyring).is_ok());
        })
    };
    BTreeMap::from([
        (DECRYPTED, (DECRYPTED, Box::new(decrypted) as Box<dyn FnOnce() -> Work>)),
        ("a session, in the module", (DECRYPTED, Box::new(move || opened(16 << 20, 1)))),
        ("a session, one of 10,000 in the module", (DECRYPTED, Box::new(move || opened(16 << 20, 10_000)))),
        ("a session, not in the module", (DECRYPTED, Box::new(move || opened(20_000, 10_000)))),
    ])
}

/// Issuing a token.
fn tokens() -> Works {
    let issue = |bytes: usize| -> Work {
        let (module, keyring, keys) = (SignedTokens::new(bytes), keyring(), token_keys());
        let (claims, handle) = claims(&PhoneKeyPair::generate(), yima_harness::now());
        Box::new(move || assert!(module.issue(&keyring, black_box(&claims), &handle, &keys).is_ok()))
    };
    BTreeMap::from([
        (SIGNED, (SIGNED, Box::new(move || issue(0)) as Box<dyn FnOnce() -> Work>)),
        ("a token, in the module", (SIGNED, Box::new(move || issue(16 << 20)))),
    ])
}

fn foreign() -> Works {
    let judged = |name: &str| -> Work {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/foreign.json");
        let vectors: Value = serde_json::from_slice(&std::fs::read(path).expect("the vectors")).expect("JSON");
        let now: Time = serde_json::from_value(vectors["now"].clone()).expect("a time");
        let found = vectors["vectors"].as_array().expect("a list").iter().find(|vector| vector["name"] == name);
        let text = found.and_then(|vector| vector["code"].as_str()).expect("a code").to_owned();
        let trust = TrustList::parse(&vectors["trust_list"].to_string()).expect("a trust list");
        let rids: Vec<_> = (0..10_000).map(|n| format!("revoked-{n}")).collect();
        let lists = serde_json::json!({ "smart_health_cards": [{ "kid": "k", "method": "rid", "rids": rids }] });
        let (revoked, rules) =
            (Revocations::parse(&lists.to_string()).expect("revocations"), AcceptanceRules::built_in());
        Box::new(move || {
            let certificate = yima_foreign::read(black_box(&text), &trust, &revoked, now).expect("genuine");
            black_box(rules.judge(&certificate, now));
        })
    };
    BTreeMap::from([
        ("HC1, ES256 on P-256", (OWN, Box::new(move || judged("EU: vaccination")) as Box<dyn FnOnce() -> Work>)),
        ("HC1, ES256 on P-384", (OWN, Box::new(move || judged("EU: vaccination, P-384")))),
        ("HC1, PS256", (OWN, Box::new(move || judged("EU: vaccination, RSA")))),
        ("shc, ES256", (OWN, Box::new(move || judged("SMART: two doses")))),
    ])
}
