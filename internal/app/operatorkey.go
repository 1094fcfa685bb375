package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/domicile-api/domicile/internal/directory"
)

// NewOperatorKey makes a key for operators and writes its verifier to the directory: the first one of a deployment whose stores lie
// elsewhere than in a folder, where the platform would write it. The key itself is nowhere but in the answer.
func NewOperatorKey(ctx context.Context, cfg WorkerConfig) (key string, err error) {
	control := cfg.Topology.ID(cfg.Topology.Control())
	index, ok := cfg.Topology.Index(cfg.Region)
	if !ok || cfg.Region != control {
		return "", fmt.Errorf("operators' keys are written in the control region, %s", control)
	}
	res, err := cfg.Backend.Open(ctx, Opening{
		Region: cfg.Region, Index: index, Topology: cfg.Topology, Part: SweepPart, Published: publishedKeys{&region{}},
		Tag: tagger{cfg.Topology.Jurisdiction(index)}.tagIn, Sender: senderOf, Clock: cfg.Clock, Random: cfg.Random, Logger: cfg.Logger,
	})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, res.Close()) }()
	writer := directory.NewWriter(directory.WriterConfig{
		Table: res.Directory, Region: cfg.Region, Control: control, Clock: cfg.Clock, Random: cfg.Random, Logger: cfg.Logger,
	})
	return seeder{topo: cfg.Topology, writer: writer, random: cfg.Random, clock: cfg.Clock}.operator(ctx, "")
}
