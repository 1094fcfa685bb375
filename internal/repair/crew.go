package repair

import "golang.org/x/sync/errgroup"

// crew does several things at a time; one after the other, without a goroutine, if it is a crew of one, so that a run of all
// regions by a single thread can be repeated exactly.
type crew struct {
	group *errgroup.Group
	err   error
}

func newCrew(size int) *crew {
	if size == 1 {
		return &crew{}
	}
	c := &crew{group: new(errgroup.Group)}
	c.group.SetLimit(size)
	return c
}

// do does something now or, when all are at work, as soon as one is free.
func (c *crew) do(fn func() error) {
	if c.group != nil {
		c.group.Go(fn)
		return
	}
	if err := fn(); c.err == nil {
		c.err = err
	}
}

// wait waits until all is done, and returns the first error.
func (c *crew) wait() error {
	if c.group != nil {
		return c.group.Wait() //nolint:wrapcheck // what was done says what it was
	}
	return c.err
}
