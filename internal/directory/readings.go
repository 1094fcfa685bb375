package directory

import (
	"container/list"
	"sync"
	"time"
)

// reading is what the table said of a name at a time: a tenantEntry or keyEntry as it is encoded, or the owner of a host. "" says
// that there is no such name; it is not kept.
type reading struct {
	value string
	at    time.Time
}

// readings remember a bounded number of names; beyond it the one that was not asked for longest goes.
type readings struct {
	limit int

	mu    sync.Mutex
	names map[string]*list.Element
	// used has a *namedReading for each name, the one asked for last in front.
	used *list.List
}

type namedReading struct {
	name string
	last reading
}

func newReadings(limit int) *readings {
	return &readings{limit: limit, names: make(map[string]*list.Element), used: list.New()}
}

func (r *readings) get(name string) (reading, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.names[name]
	if !ok {
		return reading{}, false
	}
	r.used.MoveToFront(e)
	return e.Value.(*namedReading).last, true //nolint:forcetypeassert // See used.
}

// put remembers a reading, or forgets the name if it says that there is none.
func (r *readings) put(name string, last reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.names[name]
	switch {
	case last.value == "" && ok:
		r.forget(e)
	case last.value == "":
	case ok:
		e.Value.(*namedReading).last = last //nolint:forcetypeassert // See used.
	default:
		r.names[name] = r.used.PushFront(&namedReading{name: name, last: last})
		if len(r.names) > r.limit {
			r.forget(r.used.Back())
		}
	}
}

func (r *readings) forget(e *list.Element) {
	delete(r.names, e.Value.(*namedReading).name) //nolint:forcetypeassert // See used.
	r.used.Remove(e)
}
