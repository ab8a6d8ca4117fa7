import Foundation
import Simulator
import Testing

@Suite struct SequenceDiagramTests {
    private static let log = [
        "10 µs  client 1 submits aabbccdd", "20 µs  0 -> 1 s0 PRE-PREPARE v0 n3 a7980856 (1)",
        "25 µs  0 -> 2 s0 STATUS v0 executed 2 stable 0",
        "30 µs  0 -x 3 s0 PRE-PREPARE v0 n3 a7980856 (1)", "40 µs  host 2 loses power", "50 µs  3 -> 0 s0 SUSPECT v0",
        "60 µs  network is cut: 0 1 | 2 3", "70 µs  host 2 starts, life 2, 5 records",
    ]

    @Test func aLogIsDrawnAsText() {
        let drawn = SequenceDiagram(hosts: 4, log: Self.log).last(40).text
        #expect(
            drawn == """
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
        let script = try String(
            contentsOf: GoldenScenarioTests.folder.appending(path: "view-change.txt"), encoding: .utf8)
        var scenario = try Scenario(script)
        _ = try scenario.run()
        let steps = scenario.diagram.steps
        #expect(steps.first?.event == .mark(at: 0, "crashes"))
        #expect(
            steps.contains {
                if case .message(_, let to, [0], let label) = $0.event {
                    to.contains(0) && label.contains("SUSPECT")
                } else {
                    false
                }
            })
        let svg = scenario.diagram.svg(title: "a < b & c")
        #expect(svg.contains("a &lt; b &amp; c") && !svg.contains("a < b"))
        // Well-formed: the parser of Foundation would be one more import.
        #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
        #expect(svg.components(separatedBy: "<text ").count == svg.components(separatedBy: "</text>").count)
    }

    @Test func whereTheTimeJumpsThereIsAMarkThatSaysHowFar() {
        let steps: [SequenceDiagram.Step] = [
            .init(time: "1.000", .mark(at: 0, "crashes")),
            .init(time: "1.200", .message(from: 1, to: [2], lost: [2], label: "s0 SUSPECT v0")),
            .init(time: "1.400", .message(from: 1, to: [0], lost: [], label: "s0 COMMIT v0 n1")),
            .init(time: "2001.500", .mark(at: 0, "starts")),
            .init(time: "2001.700", .note("end")),
        ]
        let diagram = SequenceDiagram(hosts: 3, steps: steps)
        let svg = diagram.svg()
        #expect(svg.components(separatedBy: "<g class=\"jump\"><title>").count == 2)
        #expect(svg.contains("+ 2.0 s</text>"))
        #expect(
            diagram.text == """
                      ms client      0        1        2
                   1.000    │        ✕        │        │   host 0 crashes
                   1.200    │                 ●╌╌╌╌╌╌╌╌✕   s0 SUSPECT v0
                   1.400    │        ◀────────●        │   s0 COMMIT v0 n1
                            ┊                 ┊        ┊   ┄┄ 2.0 s later
                2001.500    │        ○        │        │   host 0 starts
                2001.700    │        │        │        │   ── end
                """, "\n\(diagram.text)")
        // As long as usual, nowhere.
        #expect(!SequenceDiagram(hosts: 3, steps: Array(steps.prefix(3))).svg().contains("class=\"jump\""))
    }

    @Test func theAxisHasItsUnitAndTheLegendWhatOccurs() throws {
        let log = SequenceDiagram(hosts: 4, log: Self.log).svg()
        // Each time has its own.
        #expect(log.contains(">time</text>") && log.contains(">10 µs</text>"))
        let script = try String(
            contentsOf: GoldenScenarioTests.folder.appending(path: "view-change.txt"), encoding: .utf8)
        var scenario = try Scenario(script)
        _ = try scenario.run()
        let svg = scenario.diagram.first(28).svg()
        #expect(svg.contains(">time, ms</text>") && svg.contains("distances down the page are steps"))
        for key in [
            "PRE-PREPARE", "PREPARE", "COMMIT", "change of view", "lost", "loses power",
            "much more time passes than between other rows",
        ] {
            #expect(svg.contains("\">\(key)</text>"), "\(key)")
        }
        for key in ["PUSH between shards", "starts again"] {
            #expect(!svg.contains("\">\(key)</text>"), "\(key) does not occur")
        }
    }

    @Test func aHostDoesNothingBeforeItStarts() {
        let diagram = SequenceDiagram(
            hosts: 2,
            steps: [
                .init(time: "1.000", .mark(at: 0, "crashes")), .init(time: "1.000", .mark(at: 1, "crashes")),
                .init(time: "2.000", .mark(at: 0, "starts")), .init(time: "2.000", .mark(at: 0, "executes s0 n1")),
                .init(time: "2.000", .message(from: 0, to: [1], lost: [1], label: "s0 RESUMED")),
                .init(time: "2.000", .mark(at: 1, "starts")),
                .init(time: "2.000", .mark(at: 1, "executes s0 n1")),
                .init(time: "2.000", .message(from: 1, to: [0], lost: [], label: "s0 RESUMED")),
            ])
        #expect(
            diagram.text == """
                   ms client      0        1
                1.000    │        ✕        │   host 0 crashes
                1.000    │                 ✕   host 1 crashes
                2.000    │        ○            host 0 starts
                2.000    │        │        ○   host 1 starts
                2.000    │        ●        ●   executes s0 n1
                2.000    │        ●╌╌╌╌╌╌╌╌✕   s0 RESUMED
                2.000    │        ◀────────●   s0 RESUMED
                """, "\n\(diagram.text)")
    }
}
