// Package sealtest is the conformance suite of the seal port: what every Wrapper must do, and what a Keyring over any Wrapper
// and keys table must do. An adapter's test calls RunWrapper and RunKeyring and passes all of it:
//
//   - what is sealed opens again, and only as what it was sealed as, where it may;
//   - one altered byte anywhere, another tenant, type, id or region, and nothing opens;
//   - keys rotate, are destroyed, are used first by many at once, and are cached within bounds;
//   - a crash or an outage at any step of making a key, and any order of two owners' steps, leaves no value that a lawful
//     region cannot open without the region that sealed it.
package sealtest

import (
	"testing"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// Fixture makes the adapters that the suite is run on.
type Fixture struct {
	// NewWrapper returns a new key of a region.
	NewWrapper func(t testing.TB, region ident.RegionID) seal.Wrapper
	// NewKeys returns an empty keys table.
	NewKeys func(t testing.TB) store.Store
}

// The regions of the suite. Third is lawful too and gets its key before the standby, in the order of names.
const (
	home    ident.RegionID = "eu-central-1"
	third   ident.RegionID = "eu-north-1"
	standby ident.RegionID = "eu-west-1"
	foreign ident.RegionID = "us-east-1"
)

// lawful are the regions that may open; survivors are those left when the home is lost.
func lawful() []ident.RegionID { return []ident.RegionID{home, standby, third} }

func survivors() []ident.RegionID { return []ident.RegionID{standby, third} }

// RunKeyring runs the suite on a Keyring over the adapters of a fixture.
func RunKeyring(t *testing.T, f Fixture) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Fixture){
		"RoundTrip":         testRoundTrip,
		"AlteredByte":       testAlteredByte,
		"OtherBind":         testOtherBind,
		"OtherRegion":       testOtherRegion,
		"NothingInTheClear": testNothingInTheClear,
		"Hash":              testHash,
		"NotReady":          testNotReady,
		"StandbyAlone":      testStandbyAlone,
		"NewRegion":         testNewRegion,
		"Rotation":          testRotation,
		"Purge":             testPurge,
		"Release":           testRelease,
		"FirstUseAtOnce":    testFirstUseAtOnce,
		"WarmCalls":         testWarmCalls,
		"CacheBound":        testCacheBound,
		"CacheAge":          testCacheAge,
		"NegativeAge":       testNegativeAge,
		"LoadFails":         testLoadFails,
		"PurgeDuringLoad":   testPurgeDuringLoad,
		"KeysAreWiped":      testKeysAreWiped,
		"CrashAtEachStep":   testCrashAtEachStep,
		"TwoOwners":         testTwoOwners,
		"LateDelivery":      testLateDelivery,
		"Conflict":          testConflict,
		"EarlierOwnerLate":  testEarlierOwnerLate,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, f)
		})
	}
}
