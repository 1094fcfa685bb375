//go:build scenario_unsafe

package replication

// SwitchOff switches a safeguard of apply off: "version", "as-of", "gap" or "class". It is only in builds with the tag scenario_unsafe,
// by which the scenarios show that each is needed; any other build has no way to do it.
func (a *Applier) SwitchOff(safeguard string) {
	switch safeguard {
	case "version":
		a.off.version = true
	case "as-of":
		a.off.asOf = true
	case "gap":
		a.off.gap = true
	case "class":
		a.off.class = true
	default:
		panic("replication: there is no safeguard " + safeguard)
	}
}
