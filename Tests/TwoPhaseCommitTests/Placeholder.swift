import Testing
@Test func placeholderTwoPhaseCommit() {}
