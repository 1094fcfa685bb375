// Package archtest has the rules of the architecture as tests, each with its reason: which way imports point, who may know an
// engine or a protocol, how large a file may be, and that no code goes around the redaction of logs. It promises nothing to other
// packages; it fails the build of those that break a rule, and says what to do instead.
package archtest
