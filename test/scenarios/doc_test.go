// Package scenarios runs all regions' real code through what can go wrong between them, and looks whether the promises hold.
//
// A world is four regions of three jurisdictions, each with its entity engine, relay, apply, repair, queues, tokens, settings and
// audit, on tables in memory. One thread drives it: a scheduler draws, from a seed, what happens next: a client calls, a relay sends
// a page, a queue's receiver takes a batch, a message is lost, delayed, repeated or overtaken, a region crashes between two effects, a
// link breaks in one direction, the clock jumps, the policy of a tenant changes. The same seed gives the same run, to the letter:
//
//	go test ./test/scenarios -run 'TestScenarios$' -seed 17
//
// prints what happened, step by step. Nothing under test chooses the order: what is a loop in production is its step function here. The
// one exception is the sequencer of a lane, which is a goroutine; a mutation is submitted and waited for before anything else goes on, so
// that it decides nothing either. Clocks and randomness are the world's.
//
// It looks, after each step, that no watermark is ahead of the data and that nothing lies where the law forbids it; at each answer to a client,
// that it shows all that the client's tokens cover, and that no failure was answered for what took effect; and at the end, when
// everything has healed, that all regions have what their grants say and no more, that what was acknowledged is there and took effect
// once, that nothing came back, that audits find nothing, that each entity was linearizable at its home, that settings are the
// same everywhere, and that counters have each increment once.
//
// With the build tag scenario_unsafe, TestSafeguards switches off one safeguard after the other and tells how many seeds it takes until
// that is noticed:
//
//	go test -tags scenario_unsafe ./test/scenarios -run TestSafeguards -v
//
// What a store loses in a crash is not looked at here: an effect that was acknowledged stays. That is for the crash tests of the stores.
package scenarios
