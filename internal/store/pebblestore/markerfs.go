package pebblestore

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// markerFS closes a gap in the engine. Its marker files say by their names which manifest is the present one, and the engine
// syncs the directory only after it has made the marker. A file system that does not keep the order of names (the journals of
// ext4 and XFS do) may after a crash know the marker and not the manifest. Therefore the directory is synced before a marker
// is made, too; that is once a manifest.
type markerFS struct{ vfs.FS }

// Create syncs the directory first if the file is a marker.
func (m markerFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(m.PathBase(name), "marker.") {
		if err := syncDirectory(m.FS, m.PathDir(name)); err != nil {
			return nil, fmt.Errorf("syncing the directory before a marker: %w", err)
		}
	}
	return m.FS.Create(name, category) //nolint:wrapcheck // The engine looks at what the file system says.
}

// Unwrap returns the file system underneath.
func (m markerFS) Unwrap() vfs.FS { return m.FS }
