package pebblestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pidName is the file that names the holder of a data directory. The engine's own lock decides who that is; this only tells.
const pidName = "HOLDER"

// LockedError says that a data directory is in use.
type LockedError struct {
	// Dir is the data directory.
	Dir string
	// PID is the process that holds it; 0 if that cannot be told.
	PID int
}

// Error names the directory and the holder.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("pebblestore: data directory %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("pebblestore: data directory %s is in use by process %d", e.Dir, e.PID)
}

// lockDirectory takes the engine's lock and writes the holder's pid beside it. A pid file that a dead process left is
// overwritten: the kernel has freed its lock.
func lockDirectory(fsys vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fsys)
	var path *fs.PathError
	switch {
	case errors.As(err, &path): // The lock file could not be made: not a matter of who holds it.
		return nil, fmt.Errorf("locking the data directory: %w", err)
	case err != nil:
		return nil, &LockedError{Dir: dir, PID: holder(fsys, dir)}
	}
	if err := writePID(fsys, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("locking the data directory: %w", err), lock.Close())
	}
	return lock, nil
}

func writePID(fsys vfs.FS, dir string) (err error) {
	f, err := fsys.Create(fsys.PathJoin(dir, pidName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("making %s: %w", pidName, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.WriteString(f, strconv.Itoa(os.Getpid())+"\n"); err != nil {
		return fmt.Errorf("writing %s: %w", pidName, err)
	}
	return nil
}

// holder reads the pid file. A process that no longer runs cannot be the holder: it left the file, and the true holder has
// not yet written its own.
func holder(fsys vfs.FS, dir string) int {
	f, err := fsys.Open(fsys.PathJoin(dir, pidName))
	if err != nil {
		return 0
	}
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err := errors.Join(err, f.Close()); err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 || !alive(pid) {
		return 0
	}
	return pid
}

// alive sends the null signal; that it may not be sent means that somebody else's process is there.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}
