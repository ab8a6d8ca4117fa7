import StrictInput
import Testing

/// Lines as a POSIX shell splits them, without expansion.
@Suite struct ShellWordsTests {
    @Test(arguments: [
        ("", []), ("  \t ", []), ("transfer alice  bob 5", ["transfer", "alice", "bob", "5"]),
        (#"call x '{"a": 1}' --as alice"#, ["call", "x", #"{"a": 1}"#, "--as", "alice"]),
        (#"a "b c" d"#, ["a", "b c", "d"]), (#"a'b c'"d e"f"#, ["ab cd ef"]), (#"'' """#, ["", ""]),
        (#""a\"b\\c\$d\`e\f""#, [#"a"b\c$d`e\f"#]), (#"a\ b \'"#, ["a b", "'"]), (#"'a\'"#, [#"a\"#]),
        ("a # b 'c", ["a"]), ("a#b", ["a#b"]), ("# all of it |", []), ("$HOME * ~ `x`", ["$HOME", "*", "~", "`x`"]),
        ("zażółć 日本 👩‍👧", ["zażółć", "日本", "👩‍👧"]), ("'|' \\; \"&\"", ["|", ";", "&"]),
        ("'\u{301}a' b'\u{731}'", ["\u{301}a", "b\u{731}"]),
    ])
    func splits(line: String, words: [String]) throws {
        #expect(try ShellWords.split(line) == words)
    }

    @Test(arguments: [
        ("a 'b", 3, "single quote"), ("日本 \"b", 4, "double quote"), ("a\\", 2, "backslash"),
        ("transfer a b 5 | tee x", 16, "| is no operator"), ("a; b", 2, "; is no operator"),
        ("a >b", 3, "> is no operator"), (#"a "b\"#, 3, "double quote"),
    ])
    func saysWhatIsWrongAndWhere(line: String, column: Int, what: String) throws {
        let problem = #expect(throws: ShellWords.Problem.self) { try ShellWords.split(line) }
        #expect(
            problem?.column == column && problem?.description.contains(what) == true, "\(String(describing: problem))")
    }

    @Test func whatIsBeingWrittenIsTheLastWordWithoutItsQuotes() throws {
        func unfinished(_ line: String) throws -> (words: [String], last: String, start: Int) {
            try #require(ShellWords.unfinished(line))
        }
        #expect(try unfinished("") == ([], "", 0))
        #expect(try unfinished("tra") == ([], "tra", 0))
        #expect(try unfinished("transfer ") == (["transfer"], "", 9))
        #expect(try unfinished("transfer 'al") == (["transfer"], "al", 9))
        #expect(try unfinished(#"x "a b" c\ d"#) == (["x", "a b"], "c d", 8))
        #expect(ShellWords.unfinished("a # b") == nil)
        #expect(ShellWords.unfinished("a | b") == nil)
    }
}
