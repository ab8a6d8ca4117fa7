extension CostModel {
    /// Of the machine of docs/FIGURES.md, whose two cores were shared with other work while it was measured: absolute
    /// figures are as uncertain as those are. Signatures, coding and steps were measured one by one. Waking and
    /// passing on were chosen so that two real runs there came out about right, and the wait for a sync is a round figure
    /// for a disk with nothing else to do: these three are assumptions. `quorate bench calibrate --fit` makes them
    /// anew.
    public static let builtIn = CostModel(
        name: "built in",
        source: "the machine of docs/FIGURES.md (2 shared cores), 2026-12-01",
        verify: 48_372, sign: 13_906,
        machine: Machine(
            wake: 16_400, write: 6322, read: 6135, frame: 11_000, byte: 0.1263, loopback: 5000,
            record: .init(716, each: 1.187),
            syncCPU: 112_037, syncWait: 1_000_000, flush: .init(198_965, each: 1055), archiveByte: 1.187),
        steps: [
            "answerChecked": .init(12_181),
            "attestation": .init(18_280, each: 3916),
            "begin": .init(6986),
            "checkPeer": .init(6393, each: 402),
            "checkReply": .init(3019, each: 729),
            "checkSubmission": .init(648, each: 977),
            "checked": .init(3714),
            "checkpoint": .init(33_035),
            "commit": .init(4618),
            "decides": .init(7875, each: 5326),
            "execute": .init(80_294, each: 11_286),
            "flushed": .init(3714),
            "forward": .init(7875, each: 5326),
            "gatewayTick": .init(3361),
            "hostTick": .init(62_622),
            "otherPBFT": .init(3152),
            "persisted": .init(0),
            "prePrepare": .init(6380, each: 46.85),
            "prepare": .init(3402),
            "propose": .init(29_635, each: 1767),
            "push": .init(7875, each: 5326),
            "question": .init(3714),
            "receipt": .init(2972, each: 3460),
            "refusal": .init(3714),
            "request": .init(7486),
            "submit": .init(3714),
            "takeCheckpoint": .init(10_022_873, each: 15.39),
        ],
        encode: [
            "attestation": .init(114, each: 0.4022),
            "decides": .init(0, each: 4.573),
            "other": .init(75.59, each: 0.5903),
            "prePrepare": .init(62.3, each: 0.204),
            "push": .init(500, each: 2),
            "receipt": .init(192, each: 0.2979),
            "refusal": .init(500, each: 2),
            "submit": .init(47.41, each: 0.2011),
            "vote": .init(45.13, each: 0.7089),
        ],
        decode: [
            "attestation": .init(167, each: 0.5876),
            "decides": .init(0, each: 18.47),
            "other": .init(144, each: 0.558),
            "prePrepare": .init(763, each: 2.497),
            "push": .init(500, each: 2),
            "receipt": .init(503, each: 0.7817),
            "refusal": .init(500, each: 2),
            "submit": .init(324, each: 1.374),
            "vote": .init(81.16, each: 1.275),
        ])
}
