import Escrow
import QuorateHost

await HostProgram.main(procedures: [Deposit.self, WriteDown.self, Settle.self, Release.self])
