import Messages
import PBFT
import Testing

@Suite struct JournalRecordTests {
    /// A record of each kind.
    private var records: [JournalRecord] {
        var group = TestGroup()
        let batch = group.freshBatch()
        let (view, sequence) = (View(3), SequenceNumber(9))
        let viewChange = group.viewChange(
            by: 1, to: 4, prepared: [PQEntry(sequence: sequence, digest: batch.digest, view: view)])
        return [
            .prePrepared(view: view, sequence: sequence, batch), .prePrepared(view: view, sequence: sequence, .null),
            .prePreparedAgain(view: view, sequence: sequence, batch.digest),
            .prepared(view: view, sequence: sequence, batch.digest),
            .committed(sequence: sequence, batch.digest), .committedBody(sequence: sequence, batch),
            .committed(sequence: sequence, batch.digest, skipped: [0, 7]),
            .committedBody(sequence: sequence, batch, skipped: [3]),
            .viewChange(viewChange),
            .newView(group.newView(4, from: [viewChange], selection: [batch.digest, .null])),
            .stable(Checkpoint(sequence: sequence, digest: batch.digest)), .quarantine(incarnation: 7, isOver: true),
            .peerIncarnation(group.declaration(by: 2, incarnation: 7)),
        ]
    }

    @Test func whatIsWrittenIsReadBackAndNothingElseIs() throws {
        for record in records {
            let bytes = record.encoded()
            #expect(try JournalRecord(decoding: bytes) == record)
            for count in bytes.indices {
                #expect(throws: DecodingFailure.self) { try JournalRecord(decoding: Array(bytes[..<count])) }
            }
            #expect(throws: DecodingFailure.trailing(count: 1)) { try JournalRecord(decoding: bytes + [0]) }
            for position in bytes.indices {
                for change in [UInt8(1), 0x40, 0xFF] {
                    var changed = bytes
                    changed[position] ^= change
                    if let again = try? JournalRecord(decoding: changed) { #expect(again.encoded() == changed) }
                }
            }
        }
    }
}
