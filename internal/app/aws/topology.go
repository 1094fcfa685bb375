package aws

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// Topology reads the topology that a region's infrastructure was deployed with.
func (b Backend) Topology(ctx context.Context, region ident.RegionID) (*topology.Topology, error) {
	cfg, err := configured(ctx, region)
	if err != nil {
		return nil, err
	}
	name := b.names.Topology()
	out, err := ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
	if _, missing := errors.AsType[*types.ParameterNotFound](err); missing {
		return nil, fmt.Errorf("there is no parameter %s in %s; deploy the region's infrastructure first, or give --topology", name, region)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the parameter %s in %s: %w", name, region, err)
	}
	return topologyfile.Parse(name, []byte(aws.ToString(out.Parameter.Value)))
}
