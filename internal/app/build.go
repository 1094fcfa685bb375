package app

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// BuildInfo says what a binary was built from.
type BuildInfo struct {
	// Module is the main module's path.
	Module string `json:"module"`
	// Version is the module's version, or "(devel)".
	Version string `json:"version"`
	// Revision is the commit, with "+dirty" when the tree had changes; empty when unknown.
	Revision string `json:"revision"`
	// Go is the toolchain's version.
	Go string `json:"go"`
}

// Build reads the build information that the Go toolchain left in the binary.
func Build() BuildInfo {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return BuildInfo{Module: "unknown", Version: "unknown"}
	}
	b := BuildInfo{Module: info.Main.Path, Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Revision = s.Value + b.Revision
		case s.Key == "vcs.modified" && s.Value == "true":
			b.Revision += "+dirty"
		}
	}
	return b
}

// Release is the short name of the build that answers carry in Domicile-Release.
func (b BuildInfo) Release() string {
	if len(b.Revision) >= 12 {
		return b.Revision[:12] + b.Revision[len(strings.TrimSuffix(b.Revision, "+dirty")):]
	}
	return strings.Trim(b.Version, "()")
}

// String is one line for people.
func (b BuildInfo) String() string {
	return fmt.Sprintf("%s %s %s %s", b.Module, b.Version, b.Revision, b.Go)
}
