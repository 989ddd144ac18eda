use super::*;

#[test]
fn a_small_run_finds_no_fault() {
    assert_eq!(run(5_000, 14, &Corpus::kept()), 0);
}

#[test]
fn the_checkpoints_page_judges_mutated_codes_as_the_program_does() {
    assert_eq!(agree(4_000, 14, &Corpus::kept()), 0);
}

#[test]
fn a_seed_repeats_its_inputs_and_another_does_not() {
    let corpus = Corpus::kept();
    for reader in readers(&corpus) {
        let kept = corpus.inputs(reader.name);
        let made = |seed, n| Mutator::new(seed, n, &kept).input(reader.encoding);
        let inputs = |seed| (0..50).map(|n| made(seed, n)).collect::<Vec<_>>();
        assert_eq!(inputs(1), inputs(1), "{}", reader.name);
        assert_ne!(inputs(1), inputs(2), "{}", reader.name);
    }
}

#[test]
fn a_panic_a_slow_input_a_large_one_and_a_broken_property_are_faults() {
    let read = |input: &[u8]| match input {
        b"panic" => panic!("on purpose"),
        b"slow" => {
            std::thread::sleep(SLOW * 2);
            Ok(Outcome::Refused)
        }
        b"large" => {
            drop(std::hint::black_box(vec![0_u8; 2 * 1024 * 1024]));
            Ok(Outcome::Refused)
        }
        b"broken" => Err("a property".to_owned()),
        _ => Ok(Outcome::Accepted),
    };
    let reader = Reader { name: "test", encoding: mutation::Encoding::Text, read: Box::new(read) };
    let corpus = ["panic", "slow", "large", "broken", "good"].map(|input| input.as_bytes().to_vec());
    let tally = fuzz(&reader, &corpus, 0, 0);
    let mut found: Vec<_> = tally.faults.iter().map(|fault| fault.input.clone()).collect();
    found.sort();
    assert_eq!(found, [&b"broken"[..], b"large", b"panic", b"slow"]);
    assert_eq!((tally.read, tally.accepted), (5, 1));
}

#[test]
fn a_member_twice_is_found_at_any_depth() {
    for (document, expected) in [
        (r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}],"d":"a"}"#, false),
        (r#"{"a":1,"b":[{"c":{},"c":1}]}"#, true),
        (r#"{"a\"\\":1,"\u0061":2,"a":3}"#, true),
        (r#"["a","a",{"a":"a"}]"#, false),
    ] {
        assert_eq!(duplicates::has_duplicate(document.as_bytes()), expected, "{document}");
    }
}
