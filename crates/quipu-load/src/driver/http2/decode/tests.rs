//! Blocks of the specification, and blocks that are none.

use super::{CODE_BITS_MIN, CODES, Decoder, huffman_len};

/// A table of 256 bytes, as the examples of the specification have it.
const TABLE_OF_256: &str = "3fe101";

/// RFC 7541, section C.5: three responses on one connection, the later ones from the table.
const PLAIN: [&str; 3] = [
    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e17\
     68747470733a2f2f7777772e6578616d706c652e636f6d",
    "4803333037c1c0bf",
    "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d41\
     53444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b207665727369\
     6f6e3d31",
];

/// RFC 7541, section C.6: the same in the Huffman code.
const HUFFMAN: [&str; 3] = [
    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97\
     c8e9ae82ae43d3",
    "4883640effc1c0bf",
    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd\
     5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

#[test]
fn the_responses_of_the_specification_have_their_status_and_fill_the_table() {
    for responses in [PLAIN, HUFFMAN] {
        let mut decoder = Decoder::new();
        decoder.status(&bytes(TABLE_OF_256)).expect("a new size");
        let expected = [(302, 222), (307, 222), (200, 215)];
        for (response, (status, table_bytes)) in responses.iter().zip(expected) {
            assert_eq!(decoder.status(&bytes(response)), Ok(Some(status)));
            assert_eq!(decoder.bytes, table_bytes, "{response}");
        }
    }
}

/// Checks what blocks on one connection say at last; 0 for nothing, `None` for a block that is refused.
fn check(blocks: &[&str], expected: Option<u16>) {
    let mut decoder = Decoder::new();
    let statuses: Vec<_> = blocks.iter().map(|block| decoder.status(&bytes(block))).collect();
    let last = statuses.last().copied().and_then(Result::ok);
    assert_eq!(last.map(Option::unwrap_or_default), expected, "{blocks:?}");
}

#[test]
fn a_status_is_found_wherever_it_stands() {
    check(&["8d"], Some(404));
    check(&["0803323031"], Some(201));
    check(&["1803323031"], Some(201));
    // The name in full, as it is and in the Huffman code.
    check(&["00073a73746174757303323031"], Some(201));
    check(&["0085b8848d36a303323031"], Some(201));
    // An entry of the table, and its name with another value.
    check(&["4803343239", "be"], Some(429));
    check(&["4803343239", "7e03353033"], Some(503));
    // 599: digits of six bits.
    check(&["08836df7ff"], Some(599));
    check(&["0f0d0135"], Some(0));
}

#[test]
fn what_is_no_block_is_refused() {
    check(&["80"], None);
    check(&["be"], None);
    check(&["08"], None);
    check(&["080332"], None);
    check(&["08033230"], None);
    check(&["0803323078"], None);
    check(&["3fe21f"], None);
    check(&["7fffffffff"], None);
    check(&["488264"], None);
    // An entry that was evicted by a new size.
    check(&["4803343239", "20be"], None);
}

#[test]
fn an_entry_longer_than_the_table_empties_it() {
    let long = format!("40007fa11f{}", "61".repeat(4_128));
    let mut decoder = Decoder::new();
    decoder.status(&bytes("4803343239")).expect("an entry");
    decoder.status(&bytes(&long)).expect("a long entry");
    assert_eq!((decoder.entries.len(), decoder.bytes), (0, 0));
}

#[test]
fn codes_of_the_table_are_complete_and_measured() {
    let share =
        |(place, codes): (usize, &u32)| u64::from(*codes) << (30 - CODE_BITS_MIN - place as u32);
    assert_eq!(CODES.iter().enumerate().map(share).sum::<u64>(), 1 << 30);
    assert_eq!(CODES.iter().sum::<u32>(), 257);
    let check = |hex, expected| assert_eq!(huffman_len(&bytes(hex)).ok(), expected, "{hex}");
    check("f1e3c2e5f23a6ba0ab90f4ff", Some("www.example.com".len()));
    check("", Some(0));
    // A byte of padding too much, and padding that is none.
    check("f1e3c2e5f23a6ba0ab90f4ffff", None);
    check("f1e3c2e5f23a6ba0ab90f400", None);
}
