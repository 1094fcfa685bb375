package developers

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/domicile-api/domicile/internal/apidiff"
	"github.com/domicile-api/domicile/internal/portal"
)

// releases reads what changed in an API version, the newest first; none if the product keeps no changelog.
func releases(files fs.FS, version string) ([]portal.Release, error) {
	name := "changelog/" + version + ".yaml"
	data, err := fs.ReadFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the product's changelog: %w", err)
	}
	log, err := apidiff.ReadChangelog(name, data)
	if err != nil {
		return nil, fmt.Errorf("reading the product's changelog: %w", err)
	}
	out := []portal.Release{release(log, &log.Unreleased)}
	for i := range log.Releases {
		out = append(out, release(log, &log.Releases[i]))
	}
	return out, nil
}

func release(log *apidiff.Changelog, e *apidiff.Entry) portal.Release {
	r := portal.Release{Name: e.Release, Date: e.Date, Note: log.Note(e)}
	if r.Name == "" {
		r.Name = "Not released yet"
	}
	for _, c := range e.Changes {
		r.Changes = append(r.Changes, portal.Change{
			Operations: c.Operations, Text: c.Text, Breaks: c.Effect == apidiff.Breaking, MayBreak: c.Effect == apidiff.Risky,
		})
	}
	return r
}
