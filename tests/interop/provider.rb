# An OpenID provider on ruby-openid, for the tests: ruby provider.rb
#
# It takes a free port of 127.0.0.1, prints "port <number>" and ends when its standard input does.
# /<kind>/           an OP identifier; the kind says which associations its endpoint makes
# /<kind>/id/<name>  the claimed identifier of a person
# /<kind>/endpoint   the endpoint. A person's decision comes with the request, beside the openid
#                    parameters: identity=<name> for "signed in as", decision=cancel for "no".
# /forget            (POST) forgets all associations and nonces

require 'openid'
require 'openid/extensions/ax'
require 'openid/extensions/pape'
require 'openid/extensions/sreg'
require 'openid/server'
require 'openid/store/memory'
require 'webrick'

KINDS = {
  'sha256' => [['HMAC-SHA256', 'DH-SHA256']],
  'sha1' => [['HMAC-SHA1', 'DH-SHA1']],
  'clear' => [['HMAC-SHA256', 'no-encryption']],
  'default' => OpenID::DefaultNegotiator.allowed_types,
  'none' => []
}.freeze

TEAMS_NS = 'http://ns.launchpad.net/2007/openid-teams'.freeze
AX_TYPES = {
  'http://axschema.org/contact/email' => 'email',
  'http://axschema.org/namePerson' => 'fullname',
  'http://axschema.org/namePerson/friendly' => 'nickname'
}.freeze
PEOPLE = {
  'ada' => { 'nickname' => 'ada', 'fullname' => 'Ada Lovelace', 'email' => 'ada@example.org',
             'teams' => %w[drivers kernel] },
  'jose' => { 'nickname' => 'jose', 'fullname' => 'José Ångström', 'email' => 'jose@example.org',
              'teams' => [] }
}.freeze

# Launchpad's teams, which ruby-openid does not know.
class TeamsResponse < OpenID::Extension
  def initialize(teams)
    super()
    @ns_uri = TEAMS_NS
    @ns_alias = 'lp'
    @teams = teams
  end

  def get_extension_args
    { 'is_member' => @teams.join(',') }
  end
end

# The pages; WEBrick answers in threads, and the store is for one at a time.
class Provider < WEBrick::HTTPServlet::AbstractServlet
  @lock = Mutex.new
  @store = OpenID::Store::Memory.new
  class << self
    attr_reader :lock
    attr_accessor :store
  end

  def service(request, response)
    self.class.lock.synchronize { route(request, response) }
  end

  private

  def route(request, response)
    if request.path == '/forget' && request.request_method == 'POST'
      self.class.store = OpenID::Store::Memory.new
      return
    end
    _, kind, page, name = request.path.split('/')
    raise WEBrick::HTTPStatus::NotFound unless KINDS.key?(kind)

    root = "http://127.0.0.1:#{request.port}/#{kind}"
    case page
    when nil then discovery(response, root, OpenID::OPENID_IDP_2_0_TYPE)
    when 'id'
      raise WEBrick::HTTPStatus::NotFound unless PEOPLE.key?(name)

      discovery(response, root, OpenID::OPENID_2_0_TYPE)
    when 'endpoint' then endpoint(request, response, kind, root)
    else raise WEBrick::HTTPStatus::NotFound
    end
  end

  def discovery(response, root, type)
    types = [type, OpenID::SReg::NS_URI_1_1, OpenID::AX::AXMessage::NS_URI, TEAMS_NS]
    response['Content-Type'] = 'application/xrds+xml'
    response.body = <<~XRDS
      <?xml version="1.0" encoding="UTF-8"?>
      <xrds:XRDS xmlns:xrds="xri://$xrds" xmlns="xri://$xrd*($v*2.0)"><XRD><Service priority="0">
      #{types.map { |uri| "<Type>#{uri}</Type>" }.join("\n")}
      <URI>#{root}/endpoint</URI>
      </Service></XRD></xrds:XRDS>
    XRDS
  end

  def endpoint(request, response, kind, root)
    server = OpenID::Server::Server.new(self.class.store, "#{root}/endpoint")
    server.negotiator = OpenID::AssociationNegotiator.new(KINDS[kind])
    message = server.decode_request(request.query.transform_values(&:to_s))
    answer = if message.is_a?(OpenID::Server::CheckIDRequest)
               decide(message, request.query, root)
             else
               server.handle_request(message)
             end
    send_message(server.encode_response(answer), response)
  rescue OpenID::Server::ProtocolError => e
    response.status = 400
    response.body = e.encode_to_kvform
  end

  def send_message(web, response)
    response.status = web.code
    web.headers.each { |name, value| response[name] = value }
    response['Content-Type'] ||= web.body.start_with?('<') ? 'text/html' : 'text/plain'
    response.body = web.body.to_s
  end

  def decide(message, query, root)
    name = query['identity'].to_s
    return message.answer(false) if name.empty? || query['decision'] == 'cancel'

    person = PEOPLE.fetch(name)
    answer = message.answer(true, nil, "#{root}/id/#{name}")
    add_sreg(message, answer, person)
    add_ax(message, answer, person)
    add_teams(message, answer, person)
    answer
  end

  def add_sreg(message, answer, person)
    asked = OpenID::SReg::Request.from_openid_request(message)
    return if asked.nil? || asked.all_requested_fields.empty?

    values = person.reject { |name, _| name == 'teams' }
    answer.add_extension(OpenID::SReg::Response.extract_response(asked, values))
  end

  def add_ax(message, answer, person)
    asked = OpenID::AX::FetchRequest.from_openid_request(message)
    return if asked.nil?

    fetched = OpenID::AX::FetchResponse.new
    asked.attributes.each do |attribute|
      name = AX_TYPES[attribute.type_uri]
      next if name.nil?

      fetched.aliases.add_alias(attribute.type_uri, attribute.ns_alias)
      fetched.add_value(attribute.type_uri, person[name])
    end
    answer.add_extension(fetched)
  end

  def add_teams(message, answer, person)
    asked = message.message.get_arg(TEAMS_NS, 'query_membership')
    return if asked.nil?

    answer.add_extension(TeamsResponse.new(person['teams'] & asked.split(',')))
  end
end

OpenID::Util.logger = Logger.new(File::NULL)
server = WEBrick::HTTPServer.new(
  BindAddress: '127.0.0.1', Port: 0, AccessLog: [], DoNotReverseLookup: true,
  Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN)
)
server.mount('/', Provider)
Thread.new do
  $stdin.read
  server.shutdown
end
puts "port #{server.listeners[0].addr[1]}"
$stdout.flush
server.start
