// Databases, queries, results and the state tables. Reached from the subnets of app and nodes, and from the addresses
// that people work at, because uploads and large downloads go past the app.
param name string
param location string
param tags object
param principalId string

@description('Subnets with a Microsoft.Storage service endpoint that may reach the account.')
param subnetIds array

@description('Public addresses or networks (a.b.c.d or a.b.c.d/n) that may reach it.')
param addresses array

@allowed(['Allow', 'Deny'])
param defaultAction string

@description('False: private endpoints are the only way in, and the rules above count for nothing.')
param publicAccess bool

var roles = loadJsonContent('../roles.json')
var containerNames = ['blast-db', 'elb-state', 'queries', 'results']

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      defaultAction: publicAccess ? defaultAction : 'Deny'
      bypass: 'None'
      virtualNetworkRules: [for subnet in subnetIds: { id: subnet, action: 'Allow' }]
      ipRules: [for address in addresses: { value: address, action: 'Allow' }]
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [
  for container in containerNames: {
    parent: blobs
    name: container
  }
]

resource appWrites 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (container, index) in containerNames: {
    name: guid(account.id, container, principalId, roles.blobDataContributor)
    scope: containers[index]
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataContributor)
      principalId: principalId
      principalType: 'ServicePrincipal'
    }
  }
]

// The key that short-lived links are signed with belongs to the account, the tables are made by the app.
resource appOnAccount 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in [roles.blobDelegator, roles.tableDataContributor]: {
    name: guid(account.id, principalId, role)
    scope: account
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      principalId: principalId
      principalType: 'ServicePrincipal'
    }
  }
]

output id string = account.id
output name string = account.name
