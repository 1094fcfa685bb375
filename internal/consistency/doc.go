// Package consistency has the tokens by which a client shows what it has seen, and the gate that lets a replica answer only when it
// has seen as much. What it promises:
//
//   - A token says how far a client has seen a tenant's streams. It is authenticated and bound to the tenant: one that was altered, cut
//     off, made up or given to another tenant is refused with TOKEN_INVALID and never believed. It has at most MaxTokenChars characters.
//   - The token of an answer covers every token that the request carried, what the answer shows, and what the call wrote; it is never
//     less than any of them. One exception: origins of multi-primary streams beyond what fits, see Codec.Mint.
//   - A token that speaks of a write which a takeover lost is told so (WRITE_LOST) once the takeover is known, and is never quietly
//     taken for another write that has its number.
//   - What cannot be judged here because the directory here is older (a key or an ownership that is not known yet) is never called
//     invalid for it: an edge that is not the tenant's home takes the call home.
//   - A gate admits a read to a replica only if the replica has everything that the caller's tokens cover, and waits for that no longer
//     than the caller allows.
//   - Keys of tokens are never logged or printed, and leave the process only wrapped for one region each.
//
// DESIGN.md beside this file has the failure modes and what was rejected.
package consistency
