import Cores
import Messages
import PBFT
import Testing

@Suite struct HostRecordTests {
    @Test func itsSizeIsThatOfItsEncoding() {
        let batch = Batch(time: Timestamp(7), items: [])
        let (view, sequence) = (View(3), SequenceNumber(9))
        let records: [JournalRecord] = [
            .prePrepared(view: view, sequence: sequence, batch), .prePrepared(view: view, sequence: sequence, .null),
            .prePreparedAgain(view: view, sequence: sequence, batch.digest),
            .prepared(view: view, sequence: sequence, batch.digest), .committed(sequence: sequence, batch.digest),
            .committedBody(sequence: sequence, batch), .committed(sequence: sequence, batch.digest, skipped: [0, 7]),
            .committedBody(sequence: sequence, batch, skipped: [3]), .quarantine(incarnation: 5, isOver: true),
        ]
        for record in records.map({ HostRecord(shard: ShardID(1), record: $0) }) {
            #expect(record.encodedSize == record.encoded().count, "\(record.record)")
        }
    }
}
