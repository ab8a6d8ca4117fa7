import StrictInput
import Testing

/// What is wrong with a text, as `path line:column problem`; nil if it is JSON.
private func refusal(_ bytes: [UInt8]) -> InputProblem? {
    do throws(InputProblem) {
        _ = try JSONReader(bytes, file: "f")
        return nil
    } catch {
        return error
    }
}

private func refusal(_ text: String) -> InputProblem? { refusal(Array(text.utf8)) }

private func read(_ text: String) throws -> JSONReader { try JSONReader(Array(text.utf8), file: "f") }

struct JSONGrammarTests {
    @Test(arguments: [
        "{}", "[]", "0", "-0", "-12.5e+3", "1E9", "true", "false", "null", "\"\"", " \t\r\n[ 1 , { \"a\" : [ ] } ] \n",
        #""\"\\\/\b\f\n\r\t\u00e9\uD834\uDD1E\u0000""#, "\"é\u{7f}𝄞\"",
        "12345678901234567890123456789012345678901234567890",
        "{\"a\":1,\"A\":2,\"\u{e1}\":3,\"a\u{301}\":4}",
    ])
    func `what the grammar has is read`(_ text: String) { #expect(refusal(text) == nil) }

    @Test(
        arguments: [
            ("", "", nil, nil, "the file is empty"), (" ", "", 1, 2, "the file ends here"),
            ("{", "", 1, 2, "the file ends here"),
            ("[1,]", "[1]", 1, 4, "\"]\""), ("[1 2]", "", 1, 4, "\"2\""), ("{\"a\":1,}", "", 1, 8, "\"}\""),
            ("{a:1}", "", 1, 2, "\"a\""),
            ("{\"a\" 1}", "a", 1, 6, "\"1\""), ("{'a':1}", "", 1, 2, "\"'\""), ("[1]\n[2]", "", 2, 1, "\"[\""),
            ("1 // one", "", 1, 3, "\"/\""),
            ("01", "", 1, 1, "a number that begins with 0"), ("-", "", 1, 2, "the file ends here"),
            ("+1", "", 1, 1, "\"+\""),
            ("1.", "", 1, 3, "the file ends here"), (".5", "", 1, 1, "\".\""), ("1e", "", 1, 3, "the file ends here"),
            ("0x10", "", 1, 2, "\"x\""),
            ("NaN", "", 1, 1, "\"N\""), ("[-Infinity]", "[0]", 1, 3, "\"I\""), ("nul", "", 1, 1, "\"n\""),
            ("True", "", 1, 1, "\"T\""),
            ("\"a", "", 1, 3, "the file ends here"), ("\"a\nb\"", "", 1, 3, "\"\\u{a}\""),
            ("\"\\x41\"", "", 1, 3, "\"x\""),
            ("\"\\u12G4\"", "", 1, 6, "\"G\""), ("\"\\u+123\"", "", 1, 4, "\"+\""),
            ("\"\\ud834\"", "", 1, 2, "half of a surrogate pair"),
            ("\"\\udd1e\\ud834\"", "", 1, 2, "half of a surrogate pair"),
            ("\"\\ud834\\u0041\"", "", 1, 2, "half of a surrogate pair"),
            ("{\n \"a\": {\"b\": 1, \"c\": 2,\n\"b\": 3}}", "a.b", 3, 1, "the key stands here a second time"),
            ("{\"a\":1,\"\\u0061\":2}", "a", 1, 8, "the key stands here a second time"),
            ("\u{feff}{}", "", 1, 1, "a byte order mark"), ("{}\u{0}", "", 1, 3, "\"\\u{0}\""),
            ("{}\u{a0}", "", 1, 3, "\"\u{a0}\""),
        ] as [(String, String, Int?, Int?, String)])
    func `what it does not have is refused with the place`(
        _ text: String, _ path: String, _ line: Int?, _ column: Int?, _ problem: String
    ) {
        let found = refusal(text)
        #expect((found?.path, found?.problem) == (path, problem), "\(text)")
        #expect((found?.line, found?.column) == (line, column), "\(text): \(found?.description ?? "")")
    }

    /// Bytes of other encodings, halves of characters, long forms and surrogates.
    @Test(
        arguments: [
            [0xff, 0xfe, 0x7b, 0x00], [0x22, 0x80, 0x22], [0x22, 0xc3, 0x22], [0x22, 0xc0, 0xaf, 0x22],
            [0x22, 0xe0, 0x80, 0xaf, 0x22],
            [0x22, 0xed, 0xa0, 0x80, 0x22], [0x22, 0xf0, 0x80, 0x80, 0xaf, 0x22], [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22],
            [0x22, 0xe9, 0x22],
            [0x22, 0xf0, 0x9d],
        ] as [[UInt8]])
    func `bytes that are not UTF-8 are refused`(_ bytes: [UInt8]) {
        #expect(refusal(bytes)?.problem.hasPrefix("not UTF-8") == true)
    }

    @Test func `UTF-8 is what the standard library takes for it`() {
        for lead in 0x80...0xff {
            for second in stride(from: 0x00, through: 0xff, by: 1) {
                for tail in [[], [0x80], [0xbf, 0x80], [0x80, 0x7f], [0x41]] as [[UInt8]] {
                    let bytes = [UInt8(lead), UInt8(second)] + tail
                    #expect(
                        (UTF8Text.firstInvalid(in: bytes[...]) == nil)
                            == (String(validating: bytes, as: UTF8.self) != nil), "\(bytes)")
                }
            }
        }
    }

    @Test func `depth and size have bounds`() {
        #expect(refusal(String(repeating: "[", count: 32) + String(repeating: "]", count: 32)) == nil)
        #expect(
            refusal(String(repeating: "[", count: 33) + String(repeating: "]", count: 33))?.problem
                == "values inside values, 33 deep")
        #expect(refusal(String(repeating: "{\"a\":", count: 1_000_000))?.problem == "values inside values, 33 deep")
        #expect(
            refusal([UInt8](repeating: 0x20, count: 1 << 24) + [0x30])?.problem
                == "the file is longer than 16777216 bytes")
    }

    @Test func `values can be counted`() {
        var limits = JSONReader.Limits()
        limits.values = 4
        let four = Array(#"{"a":[1],"b":2}"#.utf8)
        #expect(throws: Never.self) { try JSONReader(four, file: "f", limits: limits) }
        let five = Array(#"{"a":[1,3],"b":2}"#.utf8)
        #expect(throws: InputProblem.self) { try JSONReader(five, file: "f", limits: limits) }
    }

    @Test func `a hundred thousand keys are read in no time`() {
        #expect(refusal("{" + (0..<100_000).map { "\"\($0)\":0" }.joined(separator: ",") + "}") == nil)
    }
}

struct JSONReaderTests {
    @Test func `an object has the keys that were asked for and no others`() throws {
        let root = try read("{\n \"a\": 1,\n \"b\": [true, {\"c\": null}]}")
        let fields = try root.object(["a", "b"])
        #expect(try fields["a"].integer(UInt8.self) == 1)
        #expect(
            throws: InputProblem(
                file: "f", path: "a", line: 2, column: 2, problem: "unknown key", expected: "only the keys b")
        ) {
            try root.object(["b"])
        }
        #expect(throws: InputProblem(file: "f", path: "d", line: 1, column: 1, problem: "the key is missing")) {
            try root.object(["a", "b", "d"])
        }
        #expect(
            throws: InputProblem(
                file: "f", path: "b[1]", line: 3, column: 14, problem: "an object", expected: "an integer from 0 to 255"
            )
        ) { try fields["b"].elements()[1].integer(UInt8.self) }
        #expect(try fields["b"].elements()[1].object([], optional: ["c", "d"]).optional("c")?.isNull == true)
        #expect(throws: InputProblem.self) { try read(#"{"A": 1}"#).object(["a"]) }
        // Equal as texts, and not the same bytes.
        #expect(throws: InputProblem.self) { try read("{\"\u{212a}\": 1}").object(["K"]) }
    }

    @Test(arguments: ["256", "-1", "-0", "1.0", "1e0", "\"1\"", "true", "null", "99999999999999999999", "[1]"])
    func `an integer out of range or of another form is refused`(_ text: String) throws {
        let value = try read(text)
        let error = #expect(throws: InputProblem.self) { try value.integer(UInt8.self) }
        #expect(error?.expected == "an integer from 0 to 255")
    }

    @Test func `the greatest numbers are exact`() throws {
        #expect(try read("18446744073709551615").integer(UInt64.self) == .max)
        #expect(try read("-9223372036854775808").integer(Int64.self) == .min)
        #expect(throws: InputProblem.self) { try read("18446744073709551616").integer(UInt64.self) }
        #expect(throws: InputProblem.self) { try read("18446744073709551615").integer(in: 1...UInt64.max - 1) }
    }

    @Test func `hexadecimal digits are of lower case and as many as are needed`() throws {
        #expect(try read("\"00ff\"").hex() == [0, 255])
        for text in ["\"00FF\"", "\"0\"", "\"0g\"", "\" 00\"", "\"0é\"", "7"] {
            #expect(throws: InputProblem.self, "\(text)") { try read(text).hex() }
        }
        #expect(throws: InputProblem.self) { try read("\"00\"").hex(count: 2) }
    }

    @Test(arguments: [
        (#"{"b":2,"a":1}"#, nil), (#"{"a":1}"#, "b"), (#"{"a":1,"b":2,"c":3}"#, "c"), (#"{"a":1,"b":20}"#, "b"),
        (#"{"a":1,"b":"2"}"#, "b"),
        (#"{"a":1.0,"b":2}"#, "a"), (#"{"a":[1],"b":2}"#, "a"), (#"[]"#, ""),
    ])
    func `the first difference has its place`(_ text: String, _ path: String?) throws {
        let wanted = try read(#"{"a":1,"b":2}"#)
        do throws(InputProblem) {
            try (try JSONReader(Array(text.utf8), file: "f")).expect(wanted)
            #expect(path == nil)
        } catch {
            #expect(error.path == path)
        }
    }

    @Test func `texts are compared byte for byte`() throws {
        let (composed, decomposed) = (try read("[\"\u{e9}\"]"), try read("[\"e\u{301}\"]"))
        let error = #expect(throws: InputProblem.self) { try composed.expect(decomposed) }
        #expect(error?.path == "[0]")
        try composed.expect(try read(#"["\u00e9"]"#))
    }

    @Test func `what an error quotes of a key is printable`() throws {
        let error = #expect(throws: InputProblem.self) { try read("{\"\\u001b]0;\\n\u{202e}\": 1}").object([]) }
        #expect(error?.description == "f:1:2, at \\u{1b}]0;\\u{a}\\u{202e}: unknown key; expected only the keys ")
    }
}
