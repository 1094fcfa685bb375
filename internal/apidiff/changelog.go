package apidiff

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// releasedName is the root extension of a released document that says on which day it was released.
const releasedName = "x-released"

// Release is a document as it was released.
type Release struct {
	// Name is the release's, e.g. "v0.2.0".
	Name string
	// Document is the global document of that release, with its day in x-released.
	Document *Document
}

// Entry is what a release brought, or what the next one will.
type Entry struct {
	// Release is its name; empty for what is not released.
	Release string `json:"release,omitempty" yaml:"release,omitempty"`
	// Date is its day, "2026-11-21"; empty for what is not released.
	Date string `json:"date,omitempty" yaml:"date,omitempty"`
	// Since is the release before, which it was compared with; empty when there was none, and then there are no changes.
	Since string `json:"since,omitempty" yaml:"since,omitempty"`
	// Changes are sorted, the worst first.
	Changes []Change `json:"changes" yaml:"changes"`
}

// Changelog is the history of an API version.
type Changelog struct {
	// Version is the API's, e.g. "v1".
	Version string `json:"version" yaml:"version"`
	// Unreleased is what the next release will bring.
	Unreleased Entry `json:"unreleased" yaml:"unreleased"`
	// Releases are those there were, the newest first.
	Releases []Entry `json:"releases" yaml:"releases"`
}

// NewChangelog compares each release's document of an API version with the one before, and the present document with the last. The
// releases may come in any order; two of one name, and names that are no releases', are refused.
func NewChangelog(version string, releases []Release, present *Document) (*Changelog, error) {
	ordered, err := order(releases)
	if err != nil {
		return nil, err
	}
	log := &Changelog{Version: version, Releases: []Entry{}}
	var last *Release
	for i := range ordered {
		r := &ordered[i]
		day, err := released(r.Document)
		if err != nil {
			return nil, err
		}
		e, err := newEntry(last, r.Document, day)
		if err != nil {
			return nil, err
		}
		e.Release, e.Date = r.Name, day.Format(time.DateOnly)
		log.Releases = append(log.Releases, e)
		last = r
	}
	slices.Reverse(log.Releases)
	log.Unreleased, err = newEntry(last, present, time.Time{})
	if err != nil {
		return nil, err
	}
	return log, nil
}

func newEntry(before *Release, document *Document, day time.Time) (Entry, error) {
	if before == nil {
		return Entry{Changes: []Change{}}, nil
	}
	r, err := Compare(before.Document, document, day)
	if err != nil {
		return Entry{}, err
	}
	for i := range r.Changes {
		r.Changes[i].At = ""
	}
	return Entry{Since: before.Name, Changes: r.Changes}, nil
}

func released(d *Document) (time.Time, error) {
	date, ok := d.Spec.Extensions[releasedName].(string)
	if !ok {
		err := fmt.Errorf("%s is missing: the day of the release, e.g. \"2026-11-21\", in quotes", releasedName)
		return time.Time{}, &InputError{Name: d.Name, Err: err}
	}
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return time.Time{}, &InputError{Name: d.Name, Err: fmt.Errorf("%s: %q is not a day such as 2026-11-21", releasedName, date)}
	}
	return day, nil
}

// order sorts releases by their versions, the oldest first.
func order(releases []Release) ([]Release, error) {
	ordered := slices.Clone(releases)
	for _, r := range ordered {
		if !IsRelease(r.Name) {
			return nil, fmt.Errorf("%q is not the name of a release; they are called v1.2.3", r.Name)
		}
	}
	slices.SortFunc(ordered, func(a, b Release) int { return slices.Compare(numbers(a.Name), numbers(b.Name)) })
	for i := 1; i < len(ordered); i++ {
		if ordered[i].Name == ordered[i-1].Name {
			return nil, fmt.Errorf("release %s is there twice", ordered[i].Name)
		}
	}
	return ordered, nil
}

// IsRelease tells whether a name is a release's: v1.2.3, three numbers without leading zeros.
func IsRelease(name string) bool { return numbers(name) != nil }

// numbers returns the three numbers of a release's name, nil when it is no such name.
func numbers(name string) []int {
	rest, ok := strings.CutPrefix(name, "v")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 3 {
		return nil
	}
	var all []int
	for _, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || strconv.Itoa(n) != p {
			return nil
		}
		all = append(all, n)
	}
	return all
}

// MarkReleased returns the text of a document, as it stands in a YAML file, with its day of release.
func MarkReleased(name string, data []byte, day time.Time) ([]byte, error) {
	d, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	if _, marked := d.Spec.Extensions[releasedName]; marked {
		return nil, &InputError{Name: name, Err: fmt.Errorf("it has %s already", releasedName)}
	}
	text := fmt.Sprintf("%s\n%s: %q\n", bytes.TrimRight(data, "\n"), releasedName, day.Format(time.DateOnly))
	if _, err := Parse(name, []byte(text)); err != nil {
		return nil, fmt.Errorf("adding %s at the end: %w", releasedName, err)
	}
	return []byte(text), nil
}

// changelogHead is the first line of the file that holds a changelog.
const changelogHead = "# Made by 'domicile api changelog --write' from releases/ and the present document; do not edit.\n"

// YAML is the changelog as a file has it.
func (c *Changelog) YAML() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(changelogHead)
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("writing the changelog: %w", err)
	}
	return out.Bytes(), nil
}

// ReadChangelog reads what YAML wrote. The error is an *InputError.
func ReadChangelog(name string, data []byte) (*Changelog, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var c Changelog
	if err := d.Decode(&c); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, &InputError{Name: name, Err: fmt.Errorf("reading the changelog: %w", err)}
	}
	return &c, nil
}
