package domicile

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

// zones is how many availability zones a region's network spans.
const zones = 2

// network is where the tasks of a region run: private subnets in two zones, each with a way out to other regions, and endpoints by which
// the stores are reached without it.
type network struct {
	vpc             awsec2.CfnVPC
	public, private []any
	balancer        awsec2.CfnSecurityGroup
	edge, services  awsec2.CfnSecurityGroup
}

// newNetwork makes the network. It has no flow logs, since those hold callers' addresses, which are personal data. Its zones are the
// account's first, which CloudFormation finds, so that no look-up is needed to write a template.
func newNetwork(stack awscdk.Stack, d *Deployment, r Region) *network {
	n := &network{vpc: awsec2.NewCfnVPC(stack, jsii.String("Vpc"), &awsec2.CfnVPCProps{
		CidrBlock: jsii.String("10.0.0.0/16"), EnableDnsHostnames: true, EnableDnsSupport: true,
	})}
	named(n.vpc, d.name(r.ID))
	gateway := awsec2.NewCfnInternetGateway(stack, jsii.String("Internet"), &awsec2.CfnInternetGatewayProps{})
	attached := awsec2.NewCfnVPCGatewayAttachment(stack, jsii.String("InternetAttached"), &awsec2.CfnVPCGatewayAttachmentProps{
		VpcId: n.vpc.Ref(), InternetGatewayId: gateway.Ref(),
	})
	tables := make([]*string, 0, zones)
	for zone := range zones {
		tables = append(tables, n.newZone(stack, zone, gateway, attached))
	}
	n.newSecurityGroups(stack, r)
	n.newEndpoints(stack, d, r, tables)
	return n
}

// newZone makes the subnets of a zone and returns the private one's route table.
func (n *network) newZone(
	stack awscdk.Stack, zone int, gateway awsec2.CfnInternetGateway, attached awsec2.CfnVPCGatewayAttachment,
) *string {
	id := strconv.Itoa(zone + 1)
	subnet := func(kind, cidr string) (awsec2.CfnSubnet, awsec2.CfnRouteTable) {
		made := awsec2.NewCfnSubnet(stack, jsii.String(kind+id), &awsec2.CfnSubnetProps{
			VpcId: n.vpc.Ref(), CidrBlock: jsii.String(cidr), MapPublicIpOnLaunch: false,
			AvailabilityZone: awscdk.Fn_Select(jsii.Number(zone), awscdk.Fn_GetAzs(nil)),
		})
		table := awsec2.NewCfnRouteTable(stack, jsii.String(kind+"Routes"+id), &awsec2.CfnRouteTableProps{VpcId: n.vpc.Ref()})
		awsec2.NewCfnSubnetRouteTableAssociation(stack, jsii.String(kind+"Association"+id), &awsec2.CfnSubnetRouteTableAssociationProps{
			SubnetId: made.Ref(), RouteTableId: table.Ref(),
		})
		return made, table
	}
	public, publicTable := subnet("Public", "10.0."+strconv.Itoa(zone)+".0/24")
	private, privateTable := subnet("Private", "10.0."+strconv.Itoa(16*(zone+1))+".0/20")
	out := awsec2.NewCfnRoute(stack, jsii.String("PublicOut"+id), &awsec2.CfnRouteProps{
		RouteTableId: publicTable.Ref(), DestinationCidrBlock: jsii.String("0.0.0.0/0"), GatewayId: gateway.Ref(),
	})
	out.AddResourceDependency(attached, nil)
	address := awsec2.NewCfnEIP(stack, jsii.String("Address"+id), &awsec2.CfnEIPProps{Domain: jsii.String("vpc")})
	address.AddResourceDependency(attached, nil)
	translator := awsec2.NewCfnNatGateway(stack, jsii.String("Out"+id), &awsec2.CfnNatGatewayProps{
		SubnetId: public.Ref(), AllocationId: address.AttrAllocationId(),
	})
	awsec2.NewCfnRoute(stack, jsii.String("PrivateOut"+id), &awsec2.CfnRouteProps{
		RouteTableId: privateTable.Ref(), DestinationCidrBlock: jsii.String("0.0.0.0/0"), NatGatewayId: translator.Ref(),
	})
	n.public, n.private = append(n.public, public.Ref()), append(n.private, private.Ref())
	return privateTable.Ref()
}

// newSecurityGroups lets callers reach the load balancer, it the tasks, and the tasks other regions and AWS over TLS.
func (n *network) newSecurityGroups(stack awscdk.Stack, r Region) {
	group := func(id, description string) awsec2.CfnSecurityGroup {
		return awsec2.NewCfnSecurityGroup(stack, jsii.String(id), &awsec2.CfnSecurityGroupProps{
			GroupDescription: jsii.String(description), VpcId: n.vpc.Ref(),
			SecurityGroupEgress: []any{map[string]any{
				"ipProtocol": "icmp", "fromPort": 252, "toPort": 86, "cidrIp": "255.255.255.255/32", "description": "nothing but what rules add",
			}},
		})
	}
	n.balancer = group("BalancerGroup", "The load balancer.")
	n.services, n.edge = group("ServicesGroup", "Tasks of services."), group("EdgeGroup", "Tasks of edge.")
	awsec2.NewCfnSecurityGroupIngress(stack, jsii.String("CallersToBalancer"), &awsec2.CfnSecurityGroupIngressProps{
		GroupId: n.balancer.AttrGroupId(), IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(443), ToPort: jsii.Number(443),
		CidrIp: jsii.String("0.0.0.0/0"), Description: jsii.String("TLS from anywhere"),
	})
	for i, tasks := range []awsec2.CfnSecurityGroup{n.services, n.edge} {
		id := []string{"Services", "Edge"}[i]
		n.connect(stack, "BalancerTo"+id+"Calls", tasks, r.Port)
		n.connect(stack, "BalancerTo"+id+"Operations", tasks, r.Port+operationsOffset)
		awsec2.NewCfnSecurityGroupEgress(stack, jsii.String(id+"Out"), &awsec2.CfnSecurityGroupEgressProps{
			GroupId: tasks.AttrGroupId(), IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(443), ToPort: jsii.Number(443),
			CidrIp: jsii.String("0.0.0.0/0"), Description: jsii.String("TLS to AWS and to other regions"),
		})
	}
}

// connect opens a port of tasks to the load balancer, at both ends.
func (n *network) connect(stack awscdk.Stack, id string, to awsec2.CfnSecurityGroup, port int) {
	awsec2.NewCfnSecurityGroupEgress(stack, jsii.String(id), &awsec2.CfnSecurityGroupEgressProps{
		GroupId: n.balancer.AttrGroupId(), IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(port), ToPort: jsii.Number(port),
		DestinationSecurityGroupId: to.AttrGroupId(), Description: jsii.String("to the tasks"),
	})
	awsec2.NewCfnSecurityGroupIngress(stack, jsii.String(id+"In"), &awsec2.CfnSecurityGroupIngressProps{
		GroupId: to.AttrGroupId(), IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(port), ToPort: jsii.Number(port),
		SourceSecurityGroupId: n.balancer.AttrGroupId(), Description: jsii.String("from the load balancer"),
	})
}

// newEndpoints makes the ways to the stores that do not leave the network. Each admits the region's own tasks and no other principal, so
// that credentials of another account carry nothing out through them.
func (n *network) newEndpoints(stack awscdk.Stack, d *Deployment, r Region, tables []*string) {
	routes := make([]any, len(tables))
	for i, table := range tables {
		routes[i] = table
	}
	group := awsec2.NewCfnSecurityGroup(stack, jsii.String("EndpointsGroup"), &awsec2.CfnSecurityGroupProps{
		GroupDescription: jsii.String("Endpoints of AWS services."), VpcId: n.vpc.Ref(),
		SecurityGroupIngress: []any{map[string]any{
			"ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "cidrIp": n.vpc.AttrCidrBlock(), "description": "TLS from the network",
		}},
	})
	for _, service := range []string{"dynamodb", "s3"} {
		awsec2.NewCfnVPCEndpoint(stack, jsii.String("To"+pascal(service)), &awsec2.CfnVPCEndpointProps{
			VpcId: n.vpc.Ref(), VpcEndpointType: jsii.String("Gateway"), RouteTableIds: &routes,
			ServiceName: jsii.String("com.amazonaws." + r.ID + "." + service), PolicyDocument: document(d.endpointPolicy(r, service)),
		})
	}
	for _, service := range []string{"sqs", "kms", "secretsmanager", "ssm", "logs", "ecr.api", "ecr.dkr"} {
		awsec2.NewCfnVPCEndpoint(stack, jsii.String("To"+endpointID(service)), &awsec2.CfnVPCEndpointProps{
			VpcId: n.vpc.Ref(), VpcEndpointType: jsii.String("Interface"), SubnetIds: &n.private, PrivateDnsEnabled: true,
			SecurityGroupIds: &[]any{group.AttrGroupId()}, ServiceName: jsii.String("com.amazonaws." + r.ID + "." + service),
			PolicyDocument: document(d.endpointPolicy(r, service)),
		})
	}
}

// operationsOffset is how far an operations port lies above the port of calls, as internal/topology has it.
const operationsOffset = 10

func named(c awscdk.CfnResource, name string) { tag(c, "Name", name) }

// taskProcesses are those whose calls of AWS go through the network.
func taskProcesses() []access.Process {
	return []access.Process{access.EdgeTask, access.Services, access.Agent}
}
