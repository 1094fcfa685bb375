package app

import (
	"context"
	"fmt"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/services/operations"
)

// faults is what an operator disturbs the regions with; nil where that is not to be.
func (p *Platform) faults() operations.Faults {
	if !p.cfg.Faults || len(p.nodes) < p.cfg.Topology.Len() {
		return nil
	}
	return p
}

// Inject disturbs the regions of this process; it is an operations.Faults. It returns all that is wrong then.
func (p *Platform) Inject(ctx context.Context, f *operationsv1.Fault) ([]string, error) {
	if err := p.inject(ctx, f); err != nil {
		return nil, err
	}
	wrong := p.network.faults.List()
	for _, n := range p.nodes {
		if n.region() == nil {
			wrong = append(wrong, fmt.Sprintf("%s is crashed", n.id))
		}
	}
	return wrong, nil
}

func (p *Platform) inject(ctx context.Context, f *operationsv1.Fault) error {
	switch kind := f.GetKind().(type) {
	case *operationsv1.Fault_Partition:
		n, err := p.nodeOf(kind.Partition)
		if err == nil {
			p.network.faults.Partition(n.id)
		}
		return err
	case *operationsv1.Fault_Crash:
		n, err := p.nodeOf(kind.Crash)
		if err != nil {
			return err
		}
		if n.index == p.cfg.Topology.Control() {
			return faultViolation("crash", "not_control", "the control region answers this call; partition it, or stop the process")
		}
		return n.crash() //nolint:contextcheck // a crash is not the caller's to end
	case *operationsv1.Fault_Restart:
		n, err := p.nodeOf(kind.Restart)
		if err != nil {
			return err
		}
		return n.restart(ctx)
	case *operationsv1.Fault_Disturbance:
		return p.disturb(kind.Disturbance)
	case *operationsv1.Fault_Heal:
		p.network.faults.Heal()
		return nil
	default:
		return faultViolation("fault", "required", "says nothing that could be done")
	}
}

func (p *Platform) disturb(d *operationsv1.Disturbance) error {
	for _, end := range []string{d.GetSource(), d.GetDestination()} {
		if end == "" {
			continue
		}
		if _, err := p.nodeOf(end); err != nil {
			return err
		}
	}
	p.network.faults.Disturb(peer.Disturbance{
		Source: ident.RegionID(d.GetSource()), Destination: ident.RegionID(d.GetDestination()),
		Lag:       time.Duration(d.GetLagMillis()) * time.Millisecond,
		Duplicate: int(d.GetDuplicatePercent()), Reorder: int(d.GetReorderPercent()),
	})
	return nil
}

// nodeOf finds a region of this process.
func (p *Platform) nodeOf(id string) (*node, error) {
	for _, n := range p.nodes {
		if string(n.id) == id {
			return n, nil
		}
	}
	return nil, faultViolation("region", "known_region", "is not a region of this process")
}

func faultViolation(field, rule, message string) error {
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the request breaks a rule of the contract")
	f.Violations = []fault.Violation{{Field: field, Rule: rule, Message: message}}
	return f
}
