package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/jsii-runtime-go"
)

// newSecrets makes the seeds of the region's route key and peer key: 64 letters and digits that Secrets Manager draws when the stack is
// made, more than 380 bits, and which no template and no deployer ever sees.
func newSecrets(stack awscdk.Stack, d *Deployment, storage awskms.CfnKey) map[string]awssecretsmanager.CfnSecret {
	all := map[string]awssecretsmanager.CfnSecret{}
	for _, name := range []string{"route-key", "peer-key"} {
		id := map[string]string{"route-key": "RouteKey", "peer-key": "PeerKey"}[name]
		secret := awssecretsmanager.NewCfnSecret(stack, jsii.String(id), &awssecretsmanager.CfnSecretProps{
			Name:                 jsii.String(d.secretName(name)),
			Description:          jsii.String("Seed of the region's " + name + "."),
			KmsKeyId:             storage.AttrArn(),
			GenerateSecretString: map[string]any{"passwordLength": 64, "excludePunctuation": true, "includeSpace": false},
		})
		d.keep(secret)
		all[name] = secret
	}
	return all
}

// newTopologyParameter stores the topology file, as it is, for processes that have no copy beside them. It is public: clients are told the
// regions' names and endpoints.
func newTopologyParameter(stack awscdk.Stack, d *Deployment) {
	awsssm.NewCfnParameter(stack, jsii.String("Topology"), &awsssm.CfnParameterProps{
		Name:        jsii.String(d.topologyParameterName()),
		Description: jsii.String("The regions of the deployment."),
		Type:        jsii.String("String"),
		Tier:        jsii.String("Advanced"),
		Value:       jsii.String(string(d.cfg.Topology)),
	})
}
