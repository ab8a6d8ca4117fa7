import Cores
import Messages
import Simulator
import Testing

/// What of all that comes a host has checked at once (docs/decisions/0040).
@Suite struct CheckingRuleTests {
    private static let session = SessionID(1)
    private static let primary = ReplicaIndex(0)

    private func request(_ number: UInt64, by signer: StandInSigner = TwoShards.issuer) -> SignedRequest {
        let request = TwoShards.request(number, .open(TwoShards.account(on: 0)))
        return SignedRequest(request.request, signedBy: signer)
    }

    private func rule(_ host: UInt16, shares: Bool = true) -> CheckingRule {
        var options = HostOptions()
        options.sharesChecks = shares
        return CheckingRule(manifest: TwoShards.manifest, host: HostID(host), options: options)
    }

    private func submit(_ request: SignedRequest, to host: UInt16, shares: Bool = true) -> HostInput? {
        var verifier = Verifier(manifest: TwoShards.manifest, scheme: StandInScheme())
        return rule(host, shares: shares).verify(
            .submit([ShardID(0)], request), from: Self.session, by: &verifier, primary: { _ in Self.primary })
    }

    private func isChecked(_ input: HostInput?) -> Bool { if case .gateway = input { true } else { false } }
    private func isRefused(_ input: HostInput?) -> Bool { if case .unsigned = input { true } else { false } }
    private func isUnchecked(_ input: HostInput?) -> Bool { if case .unchecked = input { true } else { false } }

    @Test func whoLeadsAndFBackupsCheckWhatIsSubmittedAndTheOthersDoNot() {
        for number in 1...40 as ClosedRange<UInt64> {
            let inputs = (0..<4).map { submit(request(number), to: $0) }
            #expect(isChecked(inputs[0]))
            #expect(inputs.count(where: isChecked) == 2 && inputs.count(where: isUnchecked) == 2)
            // Junk is refused by those two, and believed by nobody.
            let junk = (0..<4).map { submit(request(number, by: StandInSigner(7)), to: $0) }
            #expect(isRefused(junk[0]))
            #expect(junk.count(where: isRefused) == 2 && junk.count(where: isUnchecked) == 2)
        }
    }

    @Test func whoSharesNothingChecksAll() {
        for number in 1...9 as ClosedRange<UInt64> {
            #expect((0..<4).allSatisfy { isChecked(submit(request(number), to: $0, shares: false)) })
        }
    }

    @Test func aProposalOfWhatNobodySignedIsToldAndOtherThingsAreDropped() {
        var verifier = Verifier(manifest: TwoShards.manifest, scheme: StandInScheme())
        let junk = request(1, by: StandInSigner(7))
        let batch = Batch(time: Timestamp(1), items: [.request(junk)])
        let proposal = PrePrepare(view: View(4), sequence: SequenceNumber(1), batch: batch)
        var told = 0
        for host in 1..<4 as Range<UInt16> {
            let input = rule(host).verify(.pbft(ShardID(0), .prePrepare(proposal)), from: HostID(0), by: &verifier)
            if case .forged(HostID(0), ShardID(0), View(4), _) = input { told += 1 }
        }
        #expect(told == 1, "the one whose share it is")
        let all = rule(1, shares: false)
        let input = all.verify(.pbft(ShardID(0), .prePrepare(proposal)), from: HostID(0), by: &verifier)
        if case .forged = input {} else { Issue.record("not told") }
        #expect(rule(1).verify(.forward(ShardID(0), .request(junk)), from: HostID(2), by: &verifier) == nil)
        let elsewhere = HostMessage.pbft(ShardID(99), .prePrepare(proposal))
        #expect(rule(1).verify(elsewhere, from: HostID(0), by: &verifier) == nil)
    }
}
