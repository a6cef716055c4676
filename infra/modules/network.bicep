// The network of app and nodes. Both subnets reach storage by a service endpoint, and that is what the data account's
// firewall lets through.
param name string
param location string
param tags object

@description('At least a /22: three subnets of /24 are cut out of it.')
param addressPrefix string

var storageEndpoint = [{ service: 'Microsoft.Storage' }]

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 0)
          serviceEndpoints: storageEndpoint
          delegations: [
            {
              name: 'flex-consumption'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'nodes'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 1)
          serviceEndpoints: storageEndpoint
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 2)
        }
      }
    ]
  }

  resource app 'subnets' existing = {
    name: 'app'
  }

  resource nodes 'subnets' existing = {
    name: 'nodes'
  }

  resource endpoints 'subnets' existing = {
    name: 'endpoints'
  }
}

output id string = network.id
output name string = network.name
output appSubnetId string = network::app.id
output nodesSubnetId string = network::nodes.id
output endpointsSubnetId string = network::endpoints.id
