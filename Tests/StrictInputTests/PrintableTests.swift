import StrictInput
import Testing

struct PrintableTests {
    @Test func `nothing that a terminal obeys or hides is left`() {
        #expect(
            Printable.line("a\u{1b}]0;pwned\u{7}\r\nb\u{9b}31m\u{202e}\u{200b}\u{2028}é\u{e000}")
                == "a\\u{1b}]0;pwned\\u{7}\\u{d}\\u{a}b\\u{9b}31m\\u{202e}\\u{200b}\\u{2028}é\\u{e000}")
        #expect(Printable.lines("a\nb\t\u{1b}[31m") == "a\nb\\u{9}\\u{1b}[31m")
        for value in (0...0x2ffff as ClosedRange<UInt32>) {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let shown = Printable.line(String(Character(scalar)))
            let isQuiet = shown.unicodeScalars.allSatisfy {
                $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) && !$0.properties.isBidiControl
            }
            #expect(isQuiet, "U+\(String(value, radix: 16))")
        }
    }

    @Test func `a JSON document stays the same document`() throws {
        let document = "{\"a\":\"\u{202e}\u{7f}é\u{e0001}\"}"
        let shown = Printable.json(document)
        #expect(shown == #"{"a":"\u202e\u007fé\udb40\udc01"}"#)
        try JSONReader(Array(shown.utf8), file: "f").expect(JSONReader(Array(document.utf8), file: "f"))
    }

    @Test func `what is quoted is cut between characters and shows bytes that are no text`() {
        #expect(Printable.quoted(Array("abc".utf8)) == "\"abc\"")
        #expect(Printable.quoted([0x61, 0xff, 0x0a, 0xc3]) == "\"a\\xff\\u{a}\\xc3\"")
        #expect(Printable.quoted(Array("aéé".utf8), limit: 4) == "\"aé…\"" && "é".utf8.count == 2)
        #expect(Printable.quoted(Array("aaaa".utf8), limit: 3) == "\"aaa…\"")
    }
}
