import Foundation
import Simulator
import Testing

@Suite struct SequenceDiagramTests {
    private static let log = [
        "10 µs  client 1 submits aabbccdd", "20 µs  0 -> 1 s0 PRE-PREPARE v0 n3 a7980856 (1)", "25 µs  0 -> 2 s0 STATUS v0 executed 2 stable 0",
        "30 µs  0 -x 3 s0 PRE-PREPARE v0 n3 a7980856 (1)", "40 µs  host 2 loses power", "50 µs  3 -> 0 s0 SUSPECT v0",
        "60 µs  network is cut: 0 1 | 2 3", "70 µs  host 2 starts, life 2, 5 records",
    ]

    @Test func aLogIsDrawnAsText() {
        let drawn = SequenceDiagram(hosts: 4, log: Self.log).last(40).text
        #expect(drawn == """
                  client      0        1        2        3
            10 µs    ●        │        │        │        │   client 1 submits aabbccdd
            20 µs    │        ●────────▶        │        │   s0 PRE-PREPARE v0 n3 a7980856 (1)
            30 µs    │        ●╌╌╌╌╌╌╌╌┼╌╌╌╌╌╌╌╌┼╌╌╌╌╌╌╌╌✕   s0 PRE-PREPARE v0 n3 a7980856 (1)
            40 µs    │        │        │        ✕        │   host 2 loses power
            50 µs    │        ◀────────┼─────────────────●   s0 SUSPECT v0
            60 µs    │        │        │                 │   ── network is cut: 0 1 | 2 3
            70 µs    │        │        │        ○        │   host 2 starts, life 2, 5 records
            """, "\n\(drawn)")
    }

    @Test func theLastMessagesKnowWhoIsDown() {
        let drawn = SequenceDiagram(hosts: 4, log: Self.log).last(1)
        #expect(drawn.down == [2])
        #expect(drawn.steps.map(\.time) == ["50 µs", "60 µs", "70 µs"])
    }

    @Test func aScenariosDiagramKnowsWhatWasLost() throws {
        let script = try String(contentsOf: GoldenScenarioTests.folder.appending(path: "view-change.txt"), encoding: .utf8)
        var scenario = try Scenario(script)
        _ = try scenario.run()
        let steps = scenario.diagram.steps
        #expect(steps.first?.event == .mark(at: 0, "crashes"))
        #expect(steps.contains {
            if case .message(_, let to, [0], let label) = $0.event { to.contains(0) && label.contains("SUSPECT") } else { false }
        })
        let svg = scenario.diagram.svg(title: "a < b & c")
        #expect(svg.contains("a &lt; b &amp; c") && !svg.contains("a < b"))
        // Well-formed: the parser of Foundation would be one more import.
        #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
        #expect(svg.components(separatedBy: "<text ").count == svg.components(separatedBy: "</text>").count)
    }
}
